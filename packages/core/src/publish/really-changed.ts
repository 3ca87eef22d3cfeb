import type { ListenerDefinition } from '../listener.js'
import { identifier } from '../quote.js'
import type { Table } from './table.js'

/** How a condition names the two rows, and a watched column of one. */
export interface Rows {
  readonly old: string
  readonly new: string
  readonly field: (which: 'old' | 'new', column: string, index: number) => string
}

const rowsOfTrigger: Rows = { old: 'old.*', new: 'new.*', field: (which, column) => `${which}.${identifier(column)}` }

/** Whether an update changed one of the columns that the listener watches, as SQL. */
export function reallyChanged(definition: ListenerDefinition, table: Table, rows = rowsOfTrigger): string {
  const watched = watchedColumns(definition, table)
  if (watched === null) return anyChange(rows)
  return watched.map((column, index) => columnChanged(column, index, rows)).join('\n    or ')
}

/** Whether it changed anything at all. */
export const anyChange = (rows: Rows) => `${rows.old} operator(pg_catalog.*<>) ${rows.new}`

/** Null: all of them. A BEFORE trigger does not have the new values of generated columns yet. */
export function watchedColumns({ columns, timing }: ListenerDefinition, table: Table): Table['columns'] | null {
  const generated = table.columns.some((column) => column.generated)
  if (columns === null && !(timing === 'before' && generated)) return null
  if (columns === null) return table.columns.filter((column) => !column.generated)
  // in the order of the declaration: that of the table depends on how it came to be
  return columns.flatMap((name) => table.columns.filter((column) => column.name === name))
}

function columnChanged({ name, comparable }: Table['columns'][number], index: number, { field }: Rows): string {
  const [before, after] = [field('old', name, index), field('new', name, index)]
  if (comparable) return `${before} is distinct from ${after}`
  // not by the operator: between two row() it would compare the values by an operator of their own type
  return `pg_catalog.record_image_ne(row(${before}), row(${after}))`
}
