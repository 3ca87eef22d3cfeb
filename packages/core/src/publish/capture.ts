import type { Operation } from '../change.js'
import type { ListenerDefinition } from '../listener.js'
import { arrayText, dollarTag, identifier, literal } from '../quote.js'
import type { Table } from './table.js'

/**
 * The function behind one trigger: what a listener does not need, its writers do not pay for. It runs with the rights of
 * whoever installed it, so that a role which may write the model's table needs no right here.
 *
 * Nothing in it may fail the user's write: what jsonb cannot hold is kept as text, a context that is not JSON is kept as
 * text, and the wake-up waits for no lock. An expression more is cheap, a statement or a variable more is not.
 */
export function captureFunction(
  schemaName: string,
  name: string,
  definition: ListenerDefinition,
  table: Table,
  operation: Operation,
): string {
  const engine: Engine = { name: schemaName, schema: identifier(schemaName) }
  const text = operation === 'truncate' ? truncation(engine, definition) : ofRow(engine, definition, table, operation)
  const tag = dollarTag('capture', text)
  const functionName = `${identifier(schemaName, name)}()`
  return /* sql */ `create or replace function ${functionName} returns trigger
language plpgsql security definer
set search_path to pg_catalog, pg_temp
-- the same row must be the same text in every session: keys are hashed from it
set timezone to 'UTC' set datestyle to 'ISO' set intervalstyle to 'postgres'
set bytea_output to 'hex' set extra_float_digits to 1
as ${tag}
${text}
${tag};
revoke all on function ${functionName} from public;`
}

interface Engine {
  readonly name: string
  /** As it stands in SQL. */
  readonly schema: string
}

type RowOperation = Exclude<Operation, 'truncate'>

// A worker takes every id below one it has seen as settled once no transaction that old is running: so the transaction
// must be a running one before it takes its id. After a row was written it is.
const beRunning = 'perform pg_current_xact_id();'

function truncation(engine: Engine, definition: ListenerDefinition): string {
  const { name, order } = definition
  const key = order === 'row' ? keyOf([], '') : 'null'
  return /* sql */ `begin
  ${beRunning}
  insert into ${engine.schema}.notification (listener, operation, key, context)
  values (${literal(name)}, 'truncate', ${key}, ${contextOf(engine)});${wakeUp(engine, definition)}
  return null;
end`
}

function ofRow(engine: Engine, definition: ListenerDefinition, table: Table, operation: RowOperation): string {
  const { schema } = engine
  const before = definition.timing === 'before'
  const rows = rowsOf(operation)
  const assigned = (value: (row: string) => string) => rows.map((row) => `    ${row}_row := ${value(row)};`).join('\n')
  return /* sql */ `declare
${rows.map((row) => `  ${row}_row jsonb;`).join('\n')}
begin
  begin
${assigned((row) => `to_jsonb(${row})`)}
  exception when others then
${assigned((row) => `${schema}.row_to_jsonb_by_column(${row})`)}
  end;${before ? `\n  ${beRunning}` : ''}
  insert into ${schema}.notification (${storedNames(definition, operation)})
  values (
    ${storedValues(engine, definition, table, operation, (row) => `${row}_row`).join(',\n    ')}
  );${wakeUp(engine, definition)}
  -- a BEFORE trigger that returned null would cancel the user's write
  return ${before ? rows.at(-1) : 'null'};
end`
}

const rowsOf = (operation: RowOperation) =>
  ({ insert: ['new'], update: ['old', 'new'], delete: ['old'] })[operation] as ('old' | 'new')[]

/** Where only a part of the row is stored, old and new do not tell what has changed. */
const storesChanged = ({ stored }: ListenerDefinition, operation: RowOperation) =>
  operation === 'update' && stored.kind !== 'all'

function storedNames(definition: ListenerDefinition, operation: RowOperation): string {
  const changed = storesChanged(definition, operation) ? ['changed'] : []
  return ['listener', 'operation', 'key', 'context', ...rowsOf(operation), ...changed].join(', ')
}

/** Expressions for those, over the whole rows as jsonb. */
function storedValues(
  engine: Engine,
  definition: ListenerDefinition,
  table: Table,
  operation: RowOperation,
  rowNamed: (row: 'old' | 'new') => string,
): string[] {
  const [first = 'new', ...more] = rowsOf(operation)
  const part = storedPart(definition, table)
  const changed = storesChanged(definition, operation)
    ? [`${engine.schema}.differing(${rowNamed('old')}, ${rowNamed('new')})`]
    : []
  const stored = (row: 'old' | 'new') =>
    part === '' ? rowNamed(row) : `${engine.schema}.project(${rowNamed(row)}, ${literal(part)})`
  return [
    literal(definition.name),
    literal(operation),
    definition.order === 'row' ? keyOf(table.key, rowNamed(first)) : 'null',
    contextOf(engine),
    ...[first, ...more].map(stored),
    ...changed,
  ]
}

/** A column that is missing counts as empty. A table without a key is handled as if it were one row. */
const keyOf = (columns: readonly string[], row: string) =>
  columns.reduce(
    (hash, column) => `hashtextextended(coalesce(${row} ->> ${literal(column)}, ''), ${hash})`,
    '0::bigint',
  )

const setting = `current_setting('pgpubsub.notification_context', true)`

const contextOf = ({ schema }: Engine) =>
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

/** After the insert, never before: a worker that falls asleep in between sees this transaction writing, and waits. */
function wakeUp({ name, schema }: Engine, { name: listener, wake }: ListenerDefinition): string {
  const notify = `perform pg_notify(${literal(name)}, ${literal(listener)});`
  const asleep = `${schema}.asleep_key(${literal(listener)})`
  switch (wake) {
    case 'never':
      return ''
    case 'always':
      return `\n  ${notify}`
    case 'idle':
      // locked and unlocked in one expression: a cancelled statement must not leave the session with the lock
      return `
  if (case when pg_try_advisory_lock(${asleep}) then not pg_advisory_unlock(${asleep}) else true end) then
    ${notify}
  end if;`
  }
}
