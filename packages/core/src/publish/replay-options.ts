import { checkOptionNames, invalid, positiveInteger, show } from '../check.js'
import type { Listener, ListenerDefinition, Replayable } from '../listener.js'
import type { Condition } from './condition.js'
import { currentJson, mutedSetting } from './context.js'
import { readFilter } from './filter.js'
import type { TableFilter } from './table-filter.js'

/** The key of a row: its fields, with the values as PostgreSQL writes them as text. It can be written as JSON. */
export type ReplayKey = Readonly<Record<string, string>>

/** Options of `replay()`. `Where` is what it takes as a filter. */
export interface ReplayOptions<Where = TableFilter> {
  /** Whose handler is given the rows. It must be declared here, with `replay: true`. */
  listener: string
  /** Only rows that match. @default all rows */
  where?: Where
  /** How many rows are stored, and kept from being changed, at a time. @default 500 */
  batchSize?: number
  /** Begins behind the row with this key: the `last` of a result, of a progress or of an error. @default with the first row */
  after?: Readonly<Record<string, unknown>>
  /** Called after each batch. @default nobody is told */
  onProgress?: (progress: ReplayProgress) => void
  /** Ends it between two batches: it returns what was done. @default it goes on to the last row */
  signal?: AbortSignal
}

/** How far a `replay()` is. */
export interface ReplayProgress {
  /** How many rows were stored. */
  readonly stored: number
  /** The key of the last row: rows up to it are done with. Null where there was none. */
  readonly last: ReplayKey | null
  /** How many rows there are, as PostgreSQL's catalogue estimates it; null where it cannot tell, or with `where` or `after`. */
  readonly estimated: number | null
}

/** What a `replay()` has done. */
export interface ReplayResult extends Pick<ReplayProgress, 'stored' | 'last'> {
  /** False where the signal has ended it: `replay({ after: last })` goes on. */
  readonly done: boolean
}

/** A listener whose rows can be replayed. */
export interface ReplayListener extends Listener {
  readonly definition: ListenerDefinition
  readonly replay: Replayable
}

/** {@link ReplayOptions}, checked. */
export interface ResolvedReplay {
  readonly listener: ReplayListener
  readonly condition: Condition | null
  readonly batchSize: number
  /** By columns. */
  readonly after: ReadonlyMap<string, string> | null
  /** The caller's, as JSON. */
  readonly context: string
  readonly onProgress: ((progress: ReplayProgress) => void) | undefined
  readonly signal: AbortSignal | undefined
}

const optionNames = [
  ...['listener', 'where', 'batchSize', 'after', 'onProgress', 'signal'],
] as const satisfies readonly (keyof ReplayOptions)[]

/**
 * @param source what the caller says that the listener is on
 * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_UNKNOWN_COLUMN
 */
export function resolveReplay(
  find: (name: string) => Listener,
  options: ReplayOptions<unknown>,
  source: string | undefined,
): ResolvedReplay {
  checkOptionNames('replay', options, optionNames)
  if (typeof options.listener !== 'string') {
    throw invalid(`listener of replay must be the name of a listener; it is ${show(options.listener)}.`)
  }
  const listener = find(options.listener)
  requireReplayable(listener)
  const { fieldNamed } = listener.replay
  if (source !== undefined && source !== listener.replay.source) {
    throw invalid(
      `Listener "${options.listener}" is on ${listener.replay.source}, not on ${source}: name a listener of ${source}, or replay ${listener.replay.source}.`,
    )
  }
  const { where, onProgress } = options
  if (onProgress !== undefined && typeof onProgress !== 'function') {
    throw invalid(`onProgress of replay must be a function; it is ${show(onProgress)}.`)
  }
  const json = currentJson()
  if (json === mutedSetting) {
    throw invalid('replay() was called inside of mute(), where nothing is stored: call it outside.')
  }
  return {
    listener,
    condition: where === undefined ? null : readFilter('where of replay', where, (name) => fieldNamed('where', name)),
    batchSize: positiveInteger('replay', 'batchSize', options.batchSize ?? 500),
    after: options.after === undefined ? null : readKey(options.after, fieldNamed),
    context: json || '{}',
    onProgress,
    signal: options.signal,
  }
}

function requireReplayable(listener: Listener): asserts listener is ReplayListener {
  const { definition, replay } = listener
  if (replay) return
  const { name } = definition
  if ('channel' in definition) {
    throw invalid(
      `Listener "${name}" is on a channel, which has no rows: only listeners on tables can be given a replay.`,
    )
  }
  if (definition.delivery === 'broadcast') {
    throw invalid(`Listener "${name}" has delivery: 'broadcast', and a replay is stored: make the listener durable.`)
  }
  throw invalid(
    `Listener "${name}" is not declared with replay: true, and its handler may not know the operation 'replay': declare it so.`,
  )
}

function readKey(after: unknown, fieldNamed: Replayable['fieldNamed']): Map<string, string> {
  if (typeof after !== 'object' || after === null || Array.isArray(after)) {
    throw invalid(`after of replay must be an object with the fields of the key; it is ${show(after)}.`)
  }
  return new Map(
    Object.entries(after).map(([name, value]) => {
      const field = fieldNamed('after', name)
      const text = typeof value === 'string' ? value : field.text(value)
      if (text !== undefined) return [field.column, text]
      throw invalid(`"${name}" in after of replay must be a text, or ${field.expects}; it is ${show(value)}.`)
    }),
  )
}
