import type { ListenerDefinition } from '../listener.js'
import { identifier, literal } from '../quote.js'
import type { Condition } from './condition.js'
import { conditionSql } from './condition-sql.js'
import { type Engine, keyOf, storedNames, storedValues, toRowType } from './notification.js'
import type { Column, Table } from './table.js'

/*
 * Stores rows as they are. Each is locked before it is read and before its notification takes its id, and until the commit.
 * Writers of a row queue on its lock: so what was stored of it before has a lower id and is not newer, and what comes
 * later has a higher one.
 *
 * While it holds such locks it waits for none: a row that somebody is writing is passed over, and stored afterwards in a
 * transaction of its own. So it takes part in no deadlock that could fail a write.
 */

/** The same row must be the same text in every session, as behind the triggers. */
export const replaySettings = `set local timezone to 'UTC'; set local datestyle to 'ISO'; set local intervalstyle to 'postgres';
  set local bytea_output to 'hex'; set local extra_float_digits to 1; set local enable_seqscan to off; set local jit to off`

/** Milliseconds that the lock of one row is waited for, before it is looked whether to go on waiting. */
export const lockWait = `set local lock_timeout to 500`

export interface ReplaySource {
  readonly engine: Engine
  readonly definition: ListenerDefinition
  readonly table: Table
  readonly condition: Condition | null
  /** For rows that cannot be stored whole, as the triggers have it. */
  readonly byColumn: boolean
}

/** Stores the next rows. Values: the context, how many, and where `afterKey`, the key that they come behind. */
export function nextRows(source: ReplaySource, afterKey: boolean): string {
  const { table } = source
  const key = keyColumns(table)
  const names = key.map(({ name }) => fieldOf(name))
  const conditions = [...(afterKey ? [isBehind(key)] : []), ...conditionOf(source)]
  const where = conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`
  const page = /* sql */ `select ${names.map((name, index) => `${name} as key_${index}`).join(', ')}
    from ${tableName(table)} t ${where}
    order by ${names.join(', ')}
    limit $2::bigint`
  return storing(source, page, 'skip locked')
}

/** Stores one row, as soon as nobody is writing it. Values: the context, null, its key. */
export function oneRow(source: ReplaySource): string {
  const key = keyColumns(source.table).map((column, index) => `${parameterOf(column, index)} as key_${index}`)
  return storing(source, `select ${key.join(', ')} where $2::bigint is null`, '')
}

function storing(source: ReplaySource, page: string, lock: 'skip locked' | ''): string {
  const { engine, definition, table, byColumn } = source
  const key = keyColumns(table)
  const isRow = key.map((column, index) => `${fieldOf(column.name)} ${operator(column, '=')} p.key_${index}`)
  const toJson = byColumn ? `${engine.schema}.row_to_jsonb_by_column` : toRowType(definition)
  const named = { row: () => 'l.row', key: 'l.key', context: '$1::text::jsonb' }
  const values = storedValues(engine, definition, table, 'replay', named)
  const texts = (row: string) => `array[${key.map((_, index) => `${row}.key_${index}::text`).join(', ')}]`
  return /* sql */ `
  with page as materialized (
    ${page}
  ), locked as materialized (
    select p.*, r.row, r.key
    from page p left join lateral (
      select ${toJson}(t.*) as row, ${keyOf(definition, table, fieldOf)} as key from ${tableName(table)} t
      where ${[...isRow, ...conditionOf(source)].join(' and ')}
      for share of t ${lock}
    ) r on true
  ), stored as (
    insert into ${engine.schema}.notification (${storedNames(definition, 'replay')})
    select ${values.join(', ')} from locked l where l.row is not null
    returning 1
  )
  select (select count(*) from stored)::float8 as stored, (select count(*) from page)::float8 as found,
    (select to_json(${texts('p')})::text from page p order by ${key.map((_, index) => `p.key_${index} desc`).join(', ')} limit 1) as last,
    (select coalesce(json_agg(${texts('l')}), '[]')::text from locked l where l.row is null) as passed_over`
}

/** Wakes a sleeping worker, after the rows are stored; null where none is to be woken. */
export function wakeStatement({ engine, definition: { name, wake } }: ReplaySource): string | null {
  if (wake === 'never') return null
  const asleep = `${engine.schema}.asleep_key(${literal(name)})`
  const idle = `where case when pg_try_advisory_lock(${asleep}) then not pg_advisory_unlock(${asleep}) else true end`
  return `select pg_notify(${literal(engine.name)}, ${literal(name)})::text ${wake === 'idle' ? idle : ''}`
}

const keyColumns = (table: Table) =>
  table.key.map((name) => table.columns.find((column) => column.name === name) as Column)

const tableName = ({ schema, name }: Table) => identifier(schema, name)

const fieldOf = (column: string) => `t.${identifier(column)}`

const operator = ({ operators }: Column, name: string) => `operator(${identifier(operators)}.${name})`

/** Behind the context and the number of rows. */
const parameterOf = ({ type }: Column, index: number) => `$${index + 3}::${type}`

const conditionOf = ({ condition, table }: ReplaySource) =>
  condition === null ? [] : [conditionSql(condition, table, fieldOf)]

function isBehind(key: readonly Column[]): string {
  const [first, ...others] = key.map(({ operators }) => operators)
  if (others.every((operators) => operators === first)) {
    const names = key.map(({ name }) => fieldOf(name)).join(', ')
    return `(${names}) ${operator(key[0] as Column, '>')} (${key.map(parameterOf).join(', ')})`
  }
  // the operators of a row would all be of one schema
  const each = key.map((column, index) => {
    const same = key
      .slice(0, index)
      .map((before, at) => `${fieldOf(before.name)} ${operator(before, '=')} ${parameterOf(before, at)}`)
    return `(${[...same, `${fieldOf(column.name)} ${operator(column, '>')} ${parameterOf(column, index)}`].join(' and ')})`
  })
  return `(${each.join(' or ')})`
}
