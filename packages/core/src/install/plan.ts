import { createHash } from 'node:crypto'
import type { Queryable } from '../database.js'
import { PubSubError } from '../errors.js'
import type { ChannelDefinition, ListenerDefinition } from '../listener.js'
import { trialOf } from '../publish/condition-sql.js'
import { notifyChannel } from '../publish/notify-channel.js'
import { readTable, type Table } from '../publish/table.js'
import { type Trigger, triggersOf } from '../publish/trigger.js'
import { doBlock, identifier, literal } from '../quote.js'
import type { InstalledListener, InstalledTrigger } from './installed.js'

/** A listener with the triggers it needs in this database; one on a channel needs none. */
export interface PlannedListener {
  readonly definition: ListenerDefinition | ChannelDefinition
  readonly triggers: readonly Trigger[]
}

export async function planListeners(
  db: Queryable,
  schema: string,
  definitions: readonly PlannedListener['definition'][],
): Promise<PlannedListener[]> {
  const planned: PlannedListener[] = []
  const tables = new Map<string, Table>()
  for (const definition of definitions) {
    if ('channel' in definition) {
      planned.push({ definition, triggers: [] })
      continue
    }
    const place = identifier(definition.table.schema, definition.table.name)
    const table = tables.get(place) ?? (await readTable(db, definition.table, definition.name))
    tables.set(place, table)
    planned.push({ definition, triggers: triggersOf(schema, definition, table) })
    await tryFilter(db, definition, table)
  }
  return planned
}

/** @throws PGPUBSUB_INVALID_OPTION where PostgreSQL cannot read a value as the column's type, or not compare such. */
async function tryFilter(db: Queryable, definition: ListenerDefinition, table: Table): Promise<void> {
  const trial = trialOf(definition, table)
  if (trial === null) return
  try {
    await db.query(trial)
  } catch (cause) {
    // data exceptions, names and types, features that there are not
    if (!/^(?:22|42|0A)/.test((cause as { code?: string }).code ?? '')) throw cause
    const message = `The filter (when) of listener "${definition.name}" cannot be used on the table "${table.schema}"."${table.name}": ${(cause as Error).message}. Change the filter, or the column.`
    throw new PubSubError('PGPUBSUB_INVALID_OPTION', message, { cause })
  }
}

/** What is installed, by the catalogue of a database or by the manifest of migrations. */
export interface Installed<I extends InstalledTrigger = InstalledTrigger> {
  readonly triggers: readonly I[]
  /** The engine's own list. */
  readonly listeners: readonly InstalledListener[]
}

/** What differs between the declared listeners and the installed triggers. */
export interface Drift<I extends InstalledTrigger = InstalledTrigger> {
  readonly missing: readonly Trigger[]
  readonly outdated: readonly Trigger[]
  readonly disabled: readonly Trigger[]
  readonly orphaned: readonly I[]
  /** Listeners that the engine's own list lacks, that it has otherwise, and that it has though nobody declares them. */
  readonly unlisted: readonly PlannedListener[]
  readonly relisted: readonly PlannedListener[]
  readonly forgotten: readonly InstalledListener[]
}

const placeOf = (trigger: Pick<Trigger, 'name' | 'table'>) =>
  identifier(trigger.table.schema, trigger.table.name, trigger.name)

export function findDrift<I extends InstalledTrigger>(
  planned: readonly PlannedListener[],
  installed: Installed<I>,
): Drift<I> {
  const wanted = planned.flatMap((listener) => listener.triggers)
  const wantedPlaces = new Set(wanted.map(placeOf))
  const byPlace = new Map(installed.triggers.map((trigger) => [placeOf(trigger), trigger]))
  const found = (trigger: Trigger) => byPlace.get(placeOf(trigger))
  const names = planned.map(({ definition }) => definition.name)
  const hashes = new Map(installed.listeners.map(({ name, hash }) => [name, hash]))
  const listed = planned.filter(({ definition }) => hashes.has(definition.name))
  return {
    missing: wanted.filter((trigger) => !found(trigger)),
    outdated: wanted.filter((trigger) => found(trigger) && found(trigger)?.hash !== trigger.hash),
    disabled: wanted.filter((trigger) => found(trigger)?.hash === trigger.hash && !found(trigger)?.enabled),
    orphaned: installed.triggers.filter((trigger) => !wantedPlaces.has(placeOf(trigger))),
    unlisted: planned.filter((listener) => !listed.includes(listener)),
    relisted: listed.filter((listener) => hashes.get(listener.definition.name) !== hashOf(listener)),
    forgotten: installed.listeners.filter(({ name }) => !names.includes(name)),
  }
}

export const differs = (drift: Drift): boolean => Object.values(drift).some((found) => found.length > 0)

export const dropTriggerSql = (trigger: Pick<Trigger, 'name' | 'table'>) =>
  `drop trigger if exists ${identifier(trigger.name)} on ${identifier(trigger.table.schema, trigger.table.name)};`

/** Drops the functions whose trigger is gone, also with its table. */
export const dropUnusedFunctionsSql = (schema: string) =>
  doBlock(`declare
  unused record;
begin
  for unused in
    select p.oid::regprocedure as function
    from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where n.nspname = ${literal(schema)} and p.prorettype = 'trigger'::regtype
      and not exists (select from pg_trigger t where t.tgfoid = p.oid)
  loop
    execute format('drop function %s', unused.function);
  end loop;
end`)

/** Tells when what is installed of a listener is outdated: the hashes of its triggers, or of the definition where it has none. */
export function hashOf({ definition, triggers }: PlannedListener): string {
  if (!('channel' in definition)) return triggers.map((trigger) => trigger.hash).join(' ')
  return createHash('sha256').update(JSON.stringify(definition)).digest('hex').slice(0, 16)
}

/** A listener's triggers, those given or all, and its place in the engine's own list. */
export function listenerSql(
  schema: string,
  listener: PlannedListener,
  triggers: readonly Trigger[] = listener.triggers,
): string {
  return [
    `-- listener ${JSON.stringify(listener.definition.name)}: ${inWords(listener.definition)}`,
    ...triggers.map((trigger) => trigger.sql),
    recordListenerSql(schema, listener),
  ].join('\n')
}

/** In one line, whatever the names are. */
function inWords(definition: PlannedListener['definition']): string {
  if ('channel' in definition) return `messages of the channel ${JSON.stringify(definition.channel)}`
  const { table, timing, operations } = definition
  return `${timing} ${operations.join(' or ')} on ${identifier(table.schema, table.name)}`.replaceAll(/\p{Cc}/gu, ' ')
}

/** Writes the listener into the engine's own list. */
export function recordListenerSql(schema: string, planned: PlannedListener): string {
  const { definition } = planned
  const source = 'channel' in definition ? ['channel'] : ['table_schema', 'table_name']
  const from = 'channel' in definition ? [definition.channel] : [definition.table.schema, definition.table.name]
  const broadcast = definition.delivery === 'broadcast' ? literal(notifyChannel(schema, definition.name)) : 'null'
  const texts = [definition.name, ...from, JSON.stringify(definition), hashOf(planned)].map(literal)
  const values = [...texts, broadcast].join(', ')
  return `insert into ${identifier(schema)}.listener (name, ${source.join(', ')}, definition, hash, notify_channel)
values (${values})
on conflict (name) do update set table_schema = excluded.table_schema, table_name = excluded.table_name,
  channel = excluded.channel, notify_channel = excluded.notify_channel, definition = excluded.definition, hash = excluded.hash, installed_at = now()
  where listener.hash <> excluded.hash;`
}

/** Takes the listeners that are not declared any more off the engine's own list; their notifications stay. */
export function forgetListenersSql(schema: string, declared: readonly PlannedListener[]): string {
  const names = declared.map(({ definition }) => literal(definition.name))
  const others = names.length === 0 ? '' : `\nwhere name not in (${names.join(', ')})`
  return `delete from ${identifier(schema)}.listener${others};`
}
