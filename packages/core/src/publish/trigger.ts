import { createHash } from 'node:crypto'
import type { Operation } from '../change.js'
import { PubSubError } from '../errors.js'
import { quotedNameMeant } from '../known-names.js'
import type { ListenerDefinition, TableName } from '../listener.js'
import { identifier, literal } from '../quote.js'
import { captureFunction } from './capture.js'
import { transitionTables } from './capture-statement.js'
import { comparisonsOf } from './condition.js'
import { filterOf } from './condition-sql.js'
import { reallyChanged } from './really-changed.js'
import type { Table } from './table.js'

/** One trigger of a listener. There is one per operation and table: a `WHEN` may name `old` and `new` only where both exist. */
export interface Trigger {
  readonly name: string
  readonly table: TableName
  /** Kept in the trigger's comment; another one there means that the trigger is outdated. */
  readonly hash: string
  /** Creates the trigger and its function, or replaces them without a moment in which there is none. */
  readonly sql: string
}

/** The triggers that a listener needs, in the engine that lives in `schema`. */
export function triggersOf(schema: string, definition: ListenerDefinition, found: Table): Trigger[] {
  const table = withDeclaredKey(definition, found)
  checkColumns(definition, table)
  const tables = [table, ...table.heirs]
  return tables.flatMap((target) =>
    definition.operations.map((operation) => triggerOn(target, schema, definition, table, operation)),
  )
}

/** A key that the program's own schema names holds wherever the trigger is written: by a migration, or by install(). */
export function withDeclaredKey({ key }: ListenerDefinition, table: Table): Table {
  const isThere = (name: string) => table.columns.some((column) => column.name === name)
  return key?.every(isThere) ? { ...table, key } : table
}

function triggerOn(
  target: TableName,
  schema: string,
  definition: ListenerDefinition,
  table: Table,
  operation: Operation,
): Trigger {
  const name = triggerName(schema, definition.name, operation)
  const functionNamed = functionName(definition.name, operation)
  const on = identifier(target.schema, target.name)
  const create = `create or replace trigger ${identifier(name)}
  ${definition.timing} ${operation} on ${on}
  ${firing(definition, table, operation)}
  execute function ${identifier(schema, functionNamed)}();`
  const capture = captureFunction(schema, functionNamed, definition, table, operation)
  const hash = createHash('sha256')
    .update(capture + create)
    .digest('hex')
    .slice(0, 16)
  const comment = `pgpubsub ${hash}: writes changes for the listener ${JSON.stringify(definition.name)}`
  const enable = `alter table ${on} enable trigger ${identifier(name)};`
  const sql = `${capture}\n${create}\ncomment on trigger ${identifier(name)} on ${on} is ${literal(comment)};\n${enable}`
  return { name, table: { schema: target.schema, name: target.name }, hash, sql }
}

/**
 * `~` sorts behind letters: among BEFORE triggers ours comes last, and sees what the others made of the row. The engine's
 * schema is part of the name, so that two engines may have listeners of one name on one table.
 */
function triggerName(schema: string, listener: string, operation: Operation): string {
  const name = `~${schema} ${operation} ${listener}`
  if (Buffer.byteLength(name) <= 63) return name
  const hash = createHash('sha256').update(`${schema} ${listener}`).digest('hex').slice(0, 16)
  return `~pgpubsub ${operation} ${hash}`
}

function firing(definition: ListenerDefinition, table: Table, operation: Operation): string {
  if (operation === 'truncate') return 'for each statement'
  if (definition.level === 'statement') return `${transitionTables(operation)} for each statement`
  const filter = filterOf(definition, table, operation)
  const changed = operation === 'update' ? reallyChanged(definition, table) : null
  const condition = filter && changed ? `(${changed})\n    and ${filter}` : (filter ?? changed)
  return condition === null ? 'for each row' : `for each row\n  when (${condition})`
}

/** With a blank in it, so that no function of the engine itself has the name. */
function functionName(listener: string, operation: Operation): string {
  const name = `${operation} ${listener}`
  if (Buffer.byteLength(name) <= 63) return name
  return `${operation} ${createHash('sha256').update(listener).digest('hex').slice(0, 16)}`
}

function checkColumns(definition: ListenerDefinition, table: Table): void {
  const { stored, columns, timing, name } = definition
  const filtered = Object.values(definition.when ?? {})
    .flatMap(comparisonsOf)
    .map(({ column }) => column)
  const used = [...(columns ?? []), ...('columns' in stored ? stored.columns : []), ...filtered]
  const known = new Map(table.columns.map((column) => [column.name, column]))
  for (const column of used) {
    if (known.has(column)) continue
    throw new PubSubError(
      'PGPUBSUB_UNKNOWN_COLUMN',
      `Listener "${name}" names the column "${column}", which the table "${table.schema}"."${table.name}" does not have. ${quotedNameMeant(column, [...known.keys()], 'It has')}`,
    )
  }
  const asked = comparisonsOf(definition.when?.new ?? { all: [] }).map(({ column }) => column)
  const computed =
    timing === 'before' ? [...(columns ?? []), ...asked].find((column) => known.get(column)?.generated) : undefined
  if (computed !== undefined) {
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      `Listener "${name}" runs before the write and watches the generated column "${computed}", which has no new value yet. Watch the columns that it is computed from, or listen after the write.`,
    )
  }
  if (definition.level === 'statement' && table.related) {
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      `Listener "${name}" has the level 'statement', and the table "${table.schema}"."${table.name}" is partitioned, a partition, or inherits: a write to one of such tables is no statement on the others, and would be missed. Use the level 'row'.`,
    )
  }
  if (stored.kind === 'key' && table.key.length === 0) {
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      `Listener "${name}" has keysOnly, and the table "${table.schema}"."${table.name}" has no key. Name the columns with select instead.`,
    )
  }
}
