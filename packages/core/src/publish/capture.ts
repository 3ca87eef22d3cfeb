import type { Operation } from '../change.js'
import type { ListenerDefinition } from '../listener.js'
import { dollarTag, identifier, literal } from '../quote.js'
import { broadcastChange, broadcastTruncation } from './broadcast.js'
import { ofStatement, statementSettings } from './capture-statement.js'
import {
  contextOf,
  type Engine,
  engineIn,
  keyByColumn,
  keyOf,
  noKey,
  onceWoken,
  type RowOperation,
  rowsOf,
  rowType,
  type StoredNamed,
  storedNames,
  storedValues,
  toRowType,
  unlessMuted,
  unlessMutedReadContext,
  wakeUp,
  writerContext,
} from './notification.js'
import type { Table } from './table.js'

/**
 * The function behind one trigger: what a listener does not need, its writers do not pay for. It runs with the rights of
 * whoever installed it, so that a role which may write the model's table needs no right here.
 *
 * Nothing in it may fail the user's write: what cannot be stored as JSON is kept as text, a context that is not JSON is kept as
 * text, and the wake-up waits for no lock.
 */
export function captureFunction(
  schemaName: string,
  name: string,
  definition: ListenerDefinition,
  table: Table,
  operation: Operation,
): string {
  const text = functionText(engineIn(schemaName), definition, table, operation)
  const tag = dollarTag('capture', text)
  const functionName = `${identifier(schemaName, name)}()`
  return /* sql */ `create or replace function ${functionName} returns trigger
language plpgsql security definer
set search_path to pg_catalog, pg_temp
-- the same row must be the same text in every session: keys are hashed from it
set timezone to 'UTC' set datestyle to 'ISO' set intervalstyle to 'postgres'
set bytea_output to 'hex' set extra_float_digits to 1${definition.level === 'statement' ? statementSettings : ''}
as ${tag}
${text}
${tag};
revoke all on function ${functionName} from public;`
}

// A worker takes every id below one it has seen as settled once no transaction that old is running: so the transaction
// must be a running one before it takes its id. After a row was written it is.
const beRunning = 'perform pg_current_xact_id();'

function functionText(engine: Engine, definition: ListenerDefinition, table: Table, operation: Operation): string {
  if (operation === 'truncate') return truncation(engine, definition)
  const of = definition.level === 'statement' ? ofStatement : ofRow
  return of(engine, definition, table, operation)
}

function truncation(engine: Engine, definition: ListenerDefinition): string {
  const { name, order } = definition
  const key = order === 'row' ? noKey : 'null'
  return /* sql */ `begin${unlessMuted(engine, 'null')}
  ${beRunning}
  ${
    definition.delivery === 'broadcast'
      ? broadcastTruncation(engine, definition)
      : `insert into ${engine.schema}.notification (listener, operation, key, context)
  values (${literal(name)}, 'truncate', ${key}, ${contextOf(engine)});${wakeUp(engine, definition)}`
  }
  return null;
end`
}

/** Stores the change and wakes who handles it, or sends it. */
function publishing(engine: Engine, definition: ListenerDefinition, table: Table, operation: RowOperation): string {
  const named: StoredNamed = {
    row: (row) => `${row}_row`,
    key: definition.order === 'row' ? 'row_key' : 'null',
    context: writerContext.stored,
  }
  if (definition.delivery === 'broadcast') return broadcastChange(engine, definition, table, operation, named)
  return /* sql */ `insert into ${engine.schema}.notification (${storedNames(definition, operation)})
  select
    ${storedValues(engine, definition, table, operation, named).join(',\n    ')}${onceWoken(engine, definition)};`
}

function ofRow(engine: Engine, definition: ListenerDefinition, table: Table, operation: RowOperation): string {
  const { schema } = engine
  const before = definition.timing === 'before'
  const rows = rowsOf(operation)
  // a BEFORE trigger that returned null would cancel the user's write
  const returned = before ? (rows.at(-1) as string) : 'null'
  const assigned = (value: (row: string) => string) => rows.map((row) => `    ${row}_row := ${value(row)};`).join('\n')
  const key = keyOf(definition, table, (column) => `${rows[0]}.${identifier(column)}`)
  const isKeyed = definition.order === 'row' && definition.delivery === 'durable'
  return /* sql */ `declare
${rows.map((row) => `  ${row}_row ${rowType(definition)};`).join('\n')}${isKeyed ? '\n  row_key bigint;' : ''}
  ${writerContext.declaration}
begin${unlessMutedReadContext(engine, returned)}
  begin${isKeyed ? `\n    row_key := ${key};` : ''}
${assigned((row) => `${toRowType(definition)}(${row})`)}
  exception when others then${isKeyed ? `\n    row_key := ${keyByColumn(engine, definition, table, rows[0] as string)};` : ''}
${assigned((row) => `${schema}.row_to_jsonb_by_column(${row})`)}
  end;${before ? `\n  ${beRunning}` : ''}
  ${publishing(engine, definition, table, operation)}
  return ${returned};
end`
}
