/** What a migration of Prisma's does to a table that our triggers on it do not survive, or do not allow. */
export interface TableChange {
  /** Null where the statement does not say: whichever comes first in the search path. */
  readonly schema: string | null
  readonly table: string
  /** The table goes, and its triggers with it. */
  readonly dropped: boolean
  /** Columns that are dropped or get another type, which PostgreSQL refuses while a trigger's condition names them. */
  readonly columns: readonly string[]
}

const name = String.raw`(?:"(?:[^"]|"")+"|[\p{L}_][\p{L}\p{N}_$]*)`
const statement = new RegExp(
  String.raw`^[^\S\n]*(alter|drop)\s+table\s+(?:if\s+exists\s+)?(?:only\s+)?(?:(${name})\s*\.\s*)?(${name})([^;]*)`,
  'gimu',
)
const droppedColumn = new RegExp(String.raw`\bdrop\s+column\s+(?:if\s+exists\s+)?(${name})`, 'giu')
const retypedColumn = new RegExp(String.raw`\balter\s+(?:column\s+)?(${name})\s+(?:set\s+data\s+)?type\b`, 'giu')

/** Reads the `alter table` and `drop table` statements of a migration. */
export function tableChanges(sql: string): TableChange[] {
  return [...sql.matchAll(statement)].map(([, verb = '', schema, table = '', actions = '']) => ({
    schema: schema === undefined ? null : unquoted(schema),
    table: unquoted(table),
    dropped: verb.toLowerCase() === 'drop',
    columns: [droppedColumn, retypedColumn].flatMap((action) =>
      [...actions.matchAll(action)].map(([, column = '']) => unquoted(column)),
    ),
  }))
}

const unquoted = (text: string) => (text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text.toLowerCase())
