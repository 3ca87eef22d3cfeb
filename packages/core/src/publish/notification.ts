import type { Operation, StoredOperation } from '../change.js'
import type { ListenerDefinition } from '../listener.js'
import { arrayText, identifier, literal } from '../quote.js'
import type { Table } from './table.js'

/* What the functions behind triggers store, as SQL. An expression more is cheap there, a statement or a variable more is not. */

/** The schema of the engine: its name, and how it stands in SQL. */
export interface Engine {
  readonly name: string
  readonly schema: string
}

export const engineIn = (name: string): Engine => ({ name, schema: identifier(name) })

export type RowOperation = Exclude<Operation, 'truncate'>

/** Those, and `replay`. */
export type StoredRowOperation = Exclude<StoredOperation, 'truncate'>

/** Which of the two rows an operation has. */
export const rowsOf = (operation: StoredRowOperation) =>
  ({ insert: ['new'], update: ['old', 'new'], delete: ['old'], replay: ['new'] })[operation] as ('old' | 'new')[]

/** Where only a part of the row is stored, old and new do not tell what has changed. */
const storesChanged = ({ stored }: ListenerDefinition, operation: StoredRowOperation) =>
  operation === 'update' && stored.kind !== 'all'

/** The columns of a notification that a change fills. */
export function storedNames(definition: ListenerDefinition, operation: StoredRowOperation): string {
  const changed = storesChanged(definition, operation) ? ['changed'] : []
  const version = definition.version === null ? [] : ['version']
  return ['listener', 'operation', 'key', 'context', ...rowsOf(operation), ...changed, ...version].join(', ')
}

/** How SQL names what is stored: the whole rows, in the type that {@link rowType} tells, and the key. */
export interface StoredNamed {
  readonly row: (row: 'old' | 'new') => string
  readonly key: string
  readonly context?: string
}

/** Expressions for those. */
export function storedValues(
  engine: Engine,
  definition: ListenerDefinition,
  table: Table,
  operation: StoredRowOperation,
  { row: rowNamed, key, context = contextOf(engine) }: StoredNamed,
): string[] {
  const part = storedPart(definition, table)
  const changed = storesChanged(definition, operation)
    ? [`${engine.schema}.differing(${rowNamed('old')}, ${rowNamed('new')})`]
    : []
  const stored = (row: 'old' | 'new') =>
    part === '' ? rowNamed(row) : `${engine.schema}.project(${rowNamed(row)}, ${literal(part)})`
  return [
    literal(definition.name),
    literal(operation),
    key,
    context,
    ...rowsOf(operation).map(stored),
    ...changed,
    ...(definition.version === null ? [] : [literal(definition.version)]),
  ]
}

/**
 * What a row is while its parts are taken. A row that is stored whole is json: that is built, and read, in less time than
 * jsonb, into which one can look.
 */
export const rowType = ({ stored, delivery }: ListenerDefinition): 'json' | 'jsonb' =>
  stored.kind === 'all' && delivery === 'durable' ? 'json' : 'jsonb'

/** The function that makes a row that. */
export const toRowType = (definition: ListenerDefinition) =>
  rowType(definition) === 'json' ? 'row_to_json' : 'to_jsonb'

/** Of a table without a key, which is handled as if it were one row. */
export const noKey = '0::bigint'

/** Hash of the row's key, whose columns `field` names; null where no order is kept. */
export const keyOf = ({ order }: ListenerDefinition, { key }: Table, field: (column: string) => string) =>
  order === 'row'
    ? key.reduce((hash, column) => `hashtextextended(concat(${field(column)}), ${hash})`, noKey)
    : 'null::bigint'

/** The same of a row that may have lost a column of its key; that counts as empty. */
export const keyByColumn = ({ schema }: Engine, { order }: ListenerDefinition, { key }: Table, row: string) =>
  order === 'row' ? `${schema}.key_by_column(${row}, ${literal(arrayText(key))})` : 'null::bigint'

const setting = `current_setting('pgpubsub.notification_context', true)`

/** Nothing is stored where the writer has muted itself, and its role may: the first statement of a trigger's function. */
export const unlessMuted = ({ schema }: Engine, returned: string) => `
  if ${setting} = 'muted' and ${schema}.may_mute() then
    return ${returned};
  end if;`

/** Where the function of a row trigger keeps the context of a writer that has one. */
export const writerContext = {
  declaration: 'writer_context jsonb;',
  stored: `coalesce(writer_context, '{}')`,
}

/**
 * The same as {@link unlessMuted}, and the context is read. Most writers are not muted and have none: they pay for one question,
 * and not for looking up functions that they do not call.
 */
export const unlessMutedReadContext = (engine: Engine, returned: string) => `
  if ${setting} <> '' then${unlessMuted(engine, returned).replaceAll('\n', '\n  ')}
    writer_context := ${engine.schema}.context_of(${setting});
  end if;`

export const contextOf = ({ schema }: Engine) =>
  `case when coalesce(${setting}, '') = '' then '{}' else ${schema}.context_of(${setting}) end`

function storedPart({ stored }: ListenerDefinition, table: Table): string {
  switch (stored.kind) {
    case 'all':
      return ''
    case 'key':
      return `+${arrayText(table.key)}`
    case 'only':
      return `+${arrayText(stored.columns)}`
    case 'except':
      return `-${arrayText(stored.columns)}`
  }
}

// locked and unlocked in one expression: a cancelled statement must not leave the session with the lock
const nobodySleeps = (asleep: string) => `pg_try_advisory_lock(${asleep}) then pg_advisory_unlock(${asleep})`

/** How a listener's workers are told, and what knows whether one of them sleeps. */
const wakingOf = ({ name, schema }: Engine, { name: listener }: ListenerDefinition) => ({
  notify: `pg_notify(${literal(name)}, ${literal(listener)})`,
  asleep: `${schema}.asleep_key(${literal(listener)})`,
})

/** After the insert, never before: a worker that falls asleep in between sees this transaction writing, and waits. */
export function wakeUp(engine: Engine, definition: ListenerDefinition): string {
  const { notify, asleep } = wakingOf(engine, definition)
  switch (definition.wake) {
    case 'never':
      return ''
    case 'always':
      return `\n  perform ${notify};`
    case 'idle':
      return `
  if not (case when ${nobodySleeps(asleep)} else false end) then
    perform ${notify};
  end if;`
  }
}

/**
 * The same as a condition of the insert itself, which costs less than a statement, and is true whatever is answered. The insert
 * has its lock on the table before it asks: that lock is what a worker sees that falls asleep.
 */
export function onceWoken(engine: Engine, definition: ListenerDefinition): string {
  const { notify, asleep } = wakingOf(engine, definition)
  switch (definition.wake) {
    case 'never':
      return ''
    case 'always':
      return `\n  where ${notify}::text is not null`
    case 'idle':
      return `\n  where case when ${nobodySleeps(asleep)} else ${notify}::text is not null end is not null`
  }
}
