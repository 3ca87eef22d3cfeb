import type { TableName } from '../listener.js'
import type { InstalledListener, InstalledTrigger } from './installed.js'
import { hashOf, type PlannedListener } from './plan.js'

/** What a migrations folder installs. It stands as comments in each migration of ours, so that no database need be asked. */
export interface Manifest {
  /** The engine's schema: programs with different ones may share a migrations folder. */
  readonly schema: string
  readonly engine: number
  readonly listeners: readonly InstalledListener[]
  readonly triggers: readonly ManifestTrigger[]
}

export interface ManifestTrigger extends InstalledTrigger {
  readonly listener: string
  /** Columns that its condition names: PostgreSQL refuses to drop or retype them while the trigger is there. */
  readonly watches: readonly string[]
}

/** One line of JSON each: for the engine, then for every listener. JSON has no line ends in it. */
type ListenerLine = InstalledListener & {
  readonly table?: TableName
  readonly triggers?: Readonly<Record<string, { readonly hash: string; readonly watches?: readonly string[] }>>
}

const mark = '-- pgpubsub manifest '
const listenerMark = '--   '

export function manifestText(schema: string, engine: number, planned: readonly PlannedListener[]): string {
  const lines = planned.map(lineOf)
  return [
    `${mark}${JSON.stringify({ schema, engine })}`,
    ...lines.map((line) => `${listenerMark}${JSON.stringify(line)}`),
  ].join('\n')
}

function lineOf(listener: PlannedListener): ListenerLine {
  const { definition, triggers } = listener
  const { name } = definition
  const hash = hashOf(listener)
  if ('channel' in definition) return { name, hash, channel: definition.channel }
  const entries = triggers.map((trigger) => {
    const watches = watchedBy(trigger.sql)
    return [trigger.name, { hash: trigger.hash, ...(watches.length > 0 && { watches }) }]
  })
  return { name, hash, channel: null, table: definition.table, triggers: Object.fromEntries(entries) }
}

const condition = /^create or replace trigger [\s\S]*/m
const columnOfRow = /\b(?:old|new)\.("(?:[^"]|"")+")/g

/** The columns that a trigger's condition names. Those that its function names are no concern of PostgreSQL's. */
function watchedBy(sql: string): string[] {
  const create = condition.exec(sql)?.[0] ?? ''
  const names = [...create.matchAll(columnOfRow)].map(([, name]) => unquoted(name as string))
  return [...new Set(names)]
}

const unquoted = (name: string) => name.slice(1, -1).replaceAll('""', '"')

/** The manifest for this schema in the text of a migration; null where it has none. */
export function readManifest(schema: string, sql: string): Manifest | null {
  const lines = sql.split(/\r?\n/)
  const begin = lines.findLastIndex(
    (line) => line.startsWith(mark) && JSON.parse(line.slice(mark.length)).schema === schema,
  )
  if (begin === -1) return null
  const { engine } = JSON.parse((lines[begin] as string).slice(mark.length))
  const end = lines.findIndex((line, index) => index > begin && !line.startsWith(listenerMark))
  const entries = lines.slice(begin + 1, end === -1 ? undefined : end).map(readListener)
  return {
    schema,
    engine,
    listeners: entries.map(({ name, hash, channel }) => ({ name, hash, channel })),
    triggers: entries.flatMap(triggersOfLine),
  }
}

function triggersOfLine({ name: listener, table, triggers }: ListenerLine): ManifestTrigger[] {
  if (!table) return []
  return Object.entries(triggers ?? {}).map(([name, { hash, watches = [] }]) => ({
    ...{ listener, name, table, hash, watches },
    enabled: true,
  }))
}

const readListener = (line: string): ListenerLine => JSON.parse(line.slice(listenerMark.length))
