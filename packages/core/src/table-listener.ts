import { type Operation, operations } from './change.js'
import { checkHandler, checkOptionNames, invalid, oneOf, show } from './check.js'
import { type Level, type Listener, levels, type Replayable, type StoredColumns } from './listener.js'
import { type ListenerDefaults, type ListenerOptions, resolveListenerOptions } from './options.js'
import { readWhen } from './publish/filter.js'
import { columnField, type TableFilter } from './publish/table-filter.js'
import type { StandardSchema } from './standard-schema.js'

/** A listener on a table, by the database's own names. */
export interface TableListenerOptions extends Omit<ListenerOptions, 'schema'> {
  /** The table's name. */
  table: string
  /** @default 'public' */
  schema?: string
  /** What a stored change must satisfy: `schema` of listeners on models. @default none: anything will do */
  changeSchema?: StandardSchema
  /** @default insert, update and delete */
  operations?: readonly Operation[]
  /** `'before'` records before the write is done; it never alters or cancels it. @default 'after' */
  timing?: 'after' | 'before'
  /**
   * `'statement'`: all rows of a statement are stored at once, which costs bulk writes much less, and a write of a single
   * row a little more. What is stored is the same. Not with `timing: 'before'`, nor for tables with partitions or heirs.
   * @default 'row'
   */
  level?: Level
  /** Updates fire only when one of these columns really changed. @default any column */
  columns?: readonly string[]
  /**
   * Only changes whose rows match are stored, after the change (`new`) or before it (`old`), in the words of Prisma's
   * `where`, by column names: `{ new: { status: 'published' } }`. It asks the rows that an operation has; one that has none of
   * those named is not listened to.
   * @default every change
   */
  when?: { readonly new?: TableFilter; readonly old?: TableFilter }
  /** Columns that are not stored: `['password_hash']`. @default none */
  omit?: readonly string[]
  /** The only columns that are stored: `['id', 'title']`. @default all */
  select?: readonly string[]
  /** Store the key's columns alone. @default false */
  keysOnly?: boolean
  /** Of the table's shape: stored with each change, and told to `upcast` where it was another. Yours to change with a migration. @default none */
  version?: string
  /**
   * Lets `replay()` give it rows of the table as they are: its handler is then given changes with the operation `'replay'`, too.
   * @default false
   */
  replay?: boolean
}

/** A row as PostgreSQL's `row_to_json` writes it. */
export type JsonRow = Record<string, unknown>

const optionNames = [
  ...['name', 'order', 'wake', 'batchSize', 'concurrency', 'attempts', 'backoff', 'timeoutMs', 'highWaterMark'],
  ...['transactional', 'lease', 'batch', 'delivery', 'upcast'],
  ...['table', 'schema', 'changeSchema', 'operations', 'timing', 'level'],
  ...['columns', 'when', 'omit', 'select', 'keysOnly', 'version', 'replay'],
] as const satisfies readonly (keyof TableListenerOptions)[]

/** @throws PGPUBSUB_INVALID_OPTION */
export function tableListener(
  options: TableListenerOptions,
  handler: Listener['handler'],
  defaults: ListenerDefaults,
): Listener {
  checkOptionNames('onChange', options, optionNames)
  const { name, order, wake, delivery, ...consume } = resolveListenerOptions(
    { ...options, schema: options.changeSchema } as ListenerOptions,
    defaults,
  )
  const where = `listener "${name}"`
  if (typeof options.table !== 'string' || options.table === '') {
    throw invalid(`table of ${where} must be the name of a table; it is ${show(options.table)}.`)
  }
  const schema = schemaOf(where, options.schema)
  const listened = operationsOf(where, options.operations)
  const timing = oneOf(where, 'timing', timings, options.timing ?? 'after')
  const level = levelOf(name, options.level, timing)
  checkHandler(name, handler)
  for (const option of ['columns', 'omit', 'select'] as const) checkColumns(where, option, options[option])
  if (options.keysOnly !== undefined && typeof options.keysOnly !== 'boolean') {
    throw invalid(`keysOnly of ${where} must be true or false; it is ${show(options.keysOnly)}.`)
  }
  refusePointless(where, listened, options)
  const filtered = readWhen(where, listened, options.when, (_option, column) => columnField(column))
  return {
    definition: {
      name,
      table: { schema, name: options.table },
      key: null,
      timing,
      operations: filtered.operations,
      level,
      columns: options.columns ?? null,
      when: filtered.when,
      stored: storedColumns(name, options),
      version: versionOf(name, options),
      order,
      wake,
      delivery,
    },
    consume,
    decode: (json) => JSON.parse(json),
    fieldName: (column) => column,
    ...replayable(where, options.replay, filtered.operations, {
      source: options.table,
      fieldNamed: (_option, column) => columnField(column),
    }),
    handler,
  }
}

const timings = ['after', 'before'] as const

function schemaOf(where: string, schema: unknown = 'public'): string {
  if (typeof schema === 'string' && schema !== '') return schema
  throw invalid(
    `schema of ${where} must be the name of the schema that the table is in; it is ${show(schema)}. What a change must satisfy is changeSchema.`,
  )
}

function operationsOf(where: string, given: unknown = ['insert', 'update', 'delete']): readonly Operation[] {
  const isKnown = (operation: unknown) => operations.includes(operation as Operation)
  if (!Array.isArray(given) || given.length === 0 || !given.every(isKnown)) {
    throw invalid(`operations of ${where} must be a list of one or more of ${operations.join(', ')}.`)
  }
  return operations.filter((operation) => given.includes(operation))
}

function checkColumns(where: string, option: string, columns: unknown): void {
  if (columns === undefined) return
  if (!Array.isArray(columns) || !columns.every((column) => typeof column === 'string')) {
    throw invalid(`${option} of ${where} must be a list of columns, like ['title']; it is ${show(columns)}.`)
  }
  if (columns.length === 0) throw invalid(`${option} of ${where} must name at least one column.`)
}

/** @throws PGPUBSUB_INVALID_OPTION at an option that can have no effect on any of the operations. */
function refusePointless(where: string, listened: readonly Operation[], options: TableListenerOptions): void {
  if (options.columns && !listened.includes('update')) {
    throw invalid(`columns of ${where} chooses among updates, and its operations have none. Leave columns out.`)
  }
  if (listened.some((operation) => operation !== 'truncate')) return
  const option = (['omit', 'select', 'keysOnly', 'level'] as const).find((name) => options[name] !== undefined)
  if (!option) return
  throw invalid(`${option} of ${where} is about the rows that are stored, and truncate has none. Leave ${option} out.`)
}

/**
 * What a listener declared with `replay: true` has more than others.
 * @throws PGPUBSUB_INVALID_OPTION
 */
export function replayable(
  where: string,
  replay: unknown,
  listened: readonly Operation[],
  how: Replayable,
): { replay?: Replayable } {
  if (replay === undefined || replay === false) return {}
  if (replay !== true) throw invalid(`replay of ${where} must be true or false; it is ${show(replay)}.`)
  if (listened.some((operation) => operation === 'insert' || operation === 'update')) return { replay: how }
  throw invalid(
    `${where} has replay, and listens neither to inserts nor to updates: its handler takes no row as it is.`,
  )
}

function versionOf(listener: string, { version, upcast }: TableListenerOptions): string | null {
  if (version === undefined && upcast) {
    throw invalid(
      `Listener "${listener}" has upcast and no version: say which one the table has now, like version: '2'.`,
    )
  }
  if (version === undefined) return null
  if (typeof version === 'string' && version !== '') return version
  throw invalid(`version of listener "${listener}" must be a text; it is ${show(version)}.`)
}

/** @throws PGPUBSUB_INVALID_OPTION where PostgreSQL has no such trigger. */
export function levelOf(listener: string, level: unknown = 'row', timing: 'after' | 'before'): Level {
  const chosen = oneOf(`listener "${listener}"`, 'level', levels, level)
  if (chosen === 'row' || timing === 'after') return chosen
  throw invalid(
    `Listener "${listener}" runs before the write, where a statement's rows are not known yet. Leave out level: 'statement', or listen after the write.`,
  )
}

/** @throws PGPUBSUB_INVALID_OPTION when more than one of the three is given. */
export function storedColumns(
  listener: string,
  options: Pick<TableListenerOptions, 'omit' | 'select' | 'keysOnly'>,
): StoredColumns {
  const given = (['omit', 'select', 'keysOnly'] as const).filter((option) => options[option])
  if (given.length > 1) {
    throw invalid(
      `Listener "${listener}" has ${given.join(' and ')}: each says what of the row is stored. Give one of them.`,
    )
  }
  if (options.keysOnly) return { kind: 'key' }
  if (options.select) return { kind: 'only', columns: options.select }
  if (options.omit) return { kind: 'except', columns: options.omit }
  return { kind: 'all' }
}
