import type { ListenerDefinition } from '../listener.js'
import { dollarTag, identifier, literal } from '../quote.js'
import { filteredColumns, filterOf } from './condition-sql.js'
import {
  contextOf,
  type Engine,
  keyByColumn,
  keyOf,
  type RowOperation,
  rowsOf,
  storedNames,
  storedValues,
  toRowType,
  unlessMuted,
  wakeUp,
} from './notification.js'
import { anyChange, type Rows, reallyChanged, watchedColumns } from './really-changed.js'
import type { Table } from './table.js'

/** Its plan is made for the first statement, which may write one row, and kept for the next, which may write a million. */
export const statementSettings = ' set enable_nestloop to off set jit to off'

/** How `create trigger` names the rows of the statement. */
export const transitionTables = (operation: RowOperation) =>
  `referencing ${rowsOf(operation)
    .map((row) => `${row} table as ${row}_rows`)
    .join(' ')}`

/**
 * The text of a statement trigger's function: one insert for all rows of the statement.
 *
 * It fails for a row that JSON cannot hold, and where a column that it names was renamed or dropped since. The slower ways that
 * follow do not, and the last of them stores every row, of updates every one that changed anything.
 */
export function ofStatement(
  engine: Engine,
  definition: ListenerDefinition,
  table: Table,
  operation: RowOperation,
): string {
  // a select of its own is computed once
  const context = `(select ${contextOf(engine)})`
  const values = storedValues(engine, definition, table, operation, {
    row: (row) => `c.${row}_row`,
    key: 'c.row_key',
    context,
  })
  const insert = (
    rows: string,
  ) => /* sql */ `insert into ${engine.schema}.notification (${storedNames(definition, operation)})
    select ${values.join(', ')}
    from (
      ${rows}
    ) c`
  const tableHere = dollarTag('table', values.join())
  const toJson = `${engine.schema}.row_to_jsonb_by_column`
  const row = `r::${tableHere}`
  const difficult = { row, toJson, key: keyByColumn(engine, definition, table, row) }
  const byColumn = (matching: Matching) => execute(insert(rowsOfStatement(operation, matching, difficult)), tableHere)
  const matching =
    operation === 'update' ? matchingUpdates(definition, table) : matchingRows(definition, table, operation)
  const everyRow =
    operation === 'update' ? { columns: [], condition: anyChange(pairedRows) } : { columns: [], condition: null }
  const key = keyOf(definition, table, (column) => `r.${identifier(column)}`)
  const usually = { row: 'r', toJson: toRowType(definition), key }
  return /* sql */ `declare
  stored bigint;
begin${unlessMuted(engine, 'null')}
  begin
    ${insert(rowsOfStatement(operation, matching, usually))};
    get diagnostics stored = row_count;
  exception when others then
    begin
      ${byColumn(matching)}
    exception when others then
      ${byColumn(everyRow)}
    end;
  end;
  if stored = 0 then
    return null;
  end if;${wakeUp(engine, definition)}
  return null;
end`
}

const pairedRows: Rows = {
  old: 'o.row',
  new: 'n.row',
  field: (which, _column, index) => `${which === 'old' ? 'o' : 'n'}.watched_${index}`,
}

/** With the name of the table as it is at that moment. */
function execute(sql: string, tableHere: string): string {
  const tag = dollarTag('rows', sql)
  return `execute replace(${tag}${sql}${tag}, ${literal(tableHere)}, tg_relid::regclass::text);
      get diagnostics stored = row_count;`
}

/** A row of a transition table, as what it is stored, and its key. */
interface Stored {
  readonly row: string
  readonly toJson: string
  readonly key: string
}

/** Which rows are stored: by a condition, and for updates the columns that it asks. */
interface Matching {
  readonly columns: readonly string[]
  readonly condition: string | null
}

function matchingRows(definition: ListenerDefinition, table: Table, operation: RowOperation): Matching {
  return { columns: [], condition: filterOf(definition, table, operation, (_row, column) => `r.${identifier(column)}`) }
}

function matchingUpdates(definition: ListenerDefinition, table: Table): Matching {
  const watched = watchedColumns(definition, table)?.map(({ name }) => name) ?? []
  const columns = [...new Set([...watched, ...filteredColumns(definition, 'update')])]
  const changed = reallyChanged(definition, table, pairedRows)
  const filter = filterOf(definition, table, 'update', (row, column) =>
    pairedRows.field(row, column, columns.indexOf(column)),
  )
  return { columns, condition: filter ? `(${changed}) and ${filter}` : changed }
}

/**
 * PostgreSQL adds the old and the new row of an update to their tables at the same time, so their places tell which belong
 * together, whatever the update did to the key. `offset 0`: a row becomes JSON once, however often that is used.
 */
function rowsOfStatement(
  operation: RowOperation,
  { columns, condition }: Matching,
  { row, toJson, key }: Stored,
): string {
  if (operation !== 'update') {
    const [only] = rowsOf(operation)
    const where = condition === null ? '' : ` where ${condition}`
    return `select ${toJson}(${row}) as ${only}_row, ${key} as row_key from ${only}_rows r${where} offset 0`
  }
  // a field of "row" would be the wrong one behind a column that was dropped
  const asked = columns.map((column, index) => `, r.${identifier(column)} as watched_${index}`).join('')
  const numbered = (rows: string, more = '') =>
    `(select row_number() over () as position, ${row} as row${more}${asked} from ${rows} r)`
  return /* sql */ `select ${toJson}(o.row) as old_row, ${toJson}(n.row) as new_row, o.row_key
      from ${numbered('old_rows', `, ${key} as row_key`)} o join ${numbered('new_rows')} n using (position)
      where ${condition}
      order by position offset 0`
}
