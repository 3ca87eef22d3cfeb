import { PubSubError } from '../errors.js'
import type { ListenerDefinition } from '../listener.js'
import { arrayText, identifier, literal } from '../quote.js'
import { type Comparison, type Condition, comparisonsOf, type RowName } from './condition.js'
import { type RowOperation, rowsOf } from './notification.js'
import type { Column, Table } from './table.js'

/*
 * Conditions as SQL, for the WHEN of a trigger and for the rows of a statement. A WHEN runs with the rights, and on the path,
 * of whoever writes, and what fails in it fails the write: every operator and function is PostgreSQL's own by its full name, or
 * that of the column's type; every value is a constant that is read when the trigger is created; and a stored value is
 * cast to nothing but text.
 */

/** How a condition names a column of a row. */
export type NamedField = (row: RowName, column: string) => string

const fieldOfTrigger: NamedField = (row, column) => `${row}.${identifier(column)}`

/** What the listener asks of the rows that the operation has; null where it asks nothing. */
export function filterOf(
  { when }: ListenerDefinition,
  table: Table,
  operation: RowOperation,
  field = fieldOfTrigger,
): string | null {
  const conditions = rowsOf(operation).flatMap((row) => {
    const condition = when?.[row]
    return condition ? [conditionSql(condition, table, (column) => field(row, column))] : []
  })
  return conditions.length === 0 ? null : conditions.join('\n    and ')
}

/** The columns that {@link filterOf} asks, of any row. */
export function filteredColumns({ when }: ListenerDefinition, operation: RowOperation): string[] {
  const conditions = rowsOf(operation).flatMap((row) => when?.[row] ?? [])
  return [...new Set(conditions.flatMap(comparisonsOf).map(({ column }) => column))]
}

/**
 * A statement that tries every comparison once, on values of its own: what PostgreSQL cannot read or compare is said by the
 * installation, and never to a writer. Null where the listener has none.
 */
export function trialOf({ when }: ListenerDefinition, table: Table): string | null {
  const trials = Object.values(when ?? {})
    .flatMap(comparisonsOf)
    .map((comparison) => comparisonSql(comparison, columnOf(table, comparison), sample(comparison, table)))
  return trials.length === 0 ? null : `select ${trials.join(',\n  ')}`
}

function sample({ is, value, column }: Comparison, table: Table): string {
  const { type } = columnOf(table, { column })
  if (value === undefined || is === 'in' || is === 'like') return `null::${type}`
  return `${textOf(value)}::${type}`
}

export function conditionSql(condition: Condition, table: Table, field: (column: string) => string): string {
  const part = (inner: Condition) => conditionSql(inner, table, field)
  if ('all' in condition) return condition.all.length === 0 ? 'true' : `(${condition.all.map(part).join(' and ')})`
  if ('any' in condition) return condition.any.length === 0 ? 'false' : `(${condition.any.map(part).join(' or ')})`
  if ('not' in condition) return `(not ${part(condition.not)})`
  return `(${comparisonSql(condition, columnOf(table, condition), field(condition.column))})`
}

function comparisonSql(comparison: Comparison, column: Column, subject: string): string {
  const { is, value = '', insensitive = false } = comparison
  const operator = (name: string) => `operator(${identifier(column.operators)}.${name})`
  const constant = `${textOf(value)}::${column.type}`
  switch (is) {
    case 'null':
      return `${subject} is null`
    case 'empty':
      return `pg_catalog.cardinality(${subject}) operator(pg_catalog.=) 0`
    case 'has every':
      return `${subject} ${operator('@>')} ${constant}`
    case 'has some':
      return `${subject} ${operator('&&')} ${constant}`
    case 'like':
      // Prisma does not cast here, and a char(n) is not what its text is
      if (insensitive) return `${subject} operator(pg_catalog.~~*) ${textOf(value)}::pg_catalog.text`
      return `${subject}::pg_catalog.text operator(pg_catalog.~~) ${textOf(value)}::pg_catalog.text`
    case 'in': {
      if (!insensitive) return `${subject} ${operator('=')} any (${textOf(value)}::${column.type}[])`
      const values = [value].flat().map((one) => lower(textOf(one)))
      return `${lower(subject)} operator(pg_catalog.=) any (array[${values.join(', ')}])`
    }
    default:
      if (insensitive) return `${lower(subject)} operator(pg_catalog.${is}) ${lower(textOf(value))}`
      return `${subject} ${operator(is)} ${constant}`
  }
}

const lower = (text: string) => `pg_catalog.lower(${text}::pg_catalog.text)`

const textOf = (value: string | readonly string[]) => literal(typeof value === 'string' ? value : arrayText(value))

function columnOf(table: Table, { column, is }: { column: string; is?: Comparison['is'] }): Column {
  const found = table.columns.find(({ name }) => name === column) as Column
  if (is !== 'like' || found.deterministic) return found
  throw new PubSubError(
    'PGPUBSUB_INVALID_OPTION',
    `A filter looks into the text of the column "${column}" of "${table.schema}"."${table.name}", whose collation is not deterministic: PostgreSQL would fail the write. Use equals or in, without mode.`,
  )
}
