import { type Operation, operations } from './change.js'
import { invalid, oneOf, show } from './check.js'
import { PubSubError } from './errors.js'
import { type Level, type Listener, levels, type StoredColumns } from './listener.js'
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
  /** Columns that are not stored. */
  omit?: readonly string[]
  /** The only columns that are stored. */
  select?: readonly string[]
  /** Store the key's columns alone. @default false */
  keysOnly?: boolean
  /** Of the table's shape: stored with each change, and told to `upcast` where it was another. Yours to change with a migration. @default none */
  version?: string
}

/** A row as PostgreSQL's `to_jsonb` writes it. */
export type JsonRow = Record<string, unknown>

/** @throws PGPUBSUB_INVALID_OPTION */
export function tableListener(
  options: TableListenerOptions,
  handler: Listener['handler'],
  defaults: ListenerDefaults,
): Listener {
  const { name, order, wake, delivery, ...consume } = resolveListenerOptions(
    { ...options, schema: options.changeSchema } as ListenerOptions,
    defaults,
  )
  if (typeof options.table !== 'string' || options.table === '') {
    throw new PubSubError('PGPUBSUB_INVALID_OPTION', `table of listener "${name}" must be the name of a table.`)
  }
  const chosen = options.operations ?? ['insert', 'update', 'delete']
  if (chosen.length === 0 || chosen.some((operation) => !operations.includes(operation))) {
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      `operations of listener "${name}" must name one or more of ${operations.join(', ')}.`,
    )
  }
  const { timing = 'after' } = options
  if (timing !== 'after' && timing !== 'before') {
    throw new PubSubError('PGPUBSUB_INVALID_OPTION', `timing of listener "${name}" must be 'after' or 'before'.`)
  }
  const level = levelOf(name, options.level, timing)
  if (typeof handler !== 'function') {
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      `The handler of listener "${name}" must be a function; it is ${typeof handler}.`,
    )
  }
  for (const option of ['columns', 'omit', 'select'] as const) {
    if (options[option]?.length !== 0) continue
    throw new PubSubError('PGPUBSUB_INVALID_OPTION', `${option} of listener "${name}" must name at least one column.`)
  }
  const listened = operations.filter((operation) => chosen.includes(operation))
  const filtered = readWhen(`listener "${name}"`, listened, options.when, (_option, column) => columnField(column))
  return {
    definition: {
      name,
      table: { schema: options.schema ?? 'public', name: options.table },
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
    handler,
  }
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
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      `Listener "${listener}" has ${given.join(' and ')}: each says what of the row is stored. Give one of them.`,
    )
  }
  if (options.keysOnly) return { kind: 'key' }
  if (options.select) return { kind: 'only', columns: options.select }
  if (options.omit) return { kind: 'except', columns: options.omit }
  return { kind: 'all' }
}
