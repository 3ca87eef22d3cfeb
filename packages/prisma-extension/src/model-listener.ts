import {
  checkHandler,
  checkOptionNames,
  type Listener,
  type ListenerDefaults,
  levelOf,
  nameMeant,
  type Operation,
  PubSubError,
  readWhen,
  replayable,
  resolveListenerOptions,
  type StoredColumns,
  show,
  storedColumns,
} from '@pgpubsub/core'
import type { Field, Model } from './data-model.js'
import { rowDecoder } from './decode-row.js'
import { filterField } from './model-filter.js'
import { shapeVersion } from './shape-version.js'
import { tableOf } from './table-of-model.js'

/** The methods that every model gets: what each listens to, and when. */
export const family = {
  onPostSave: { timing: 'after', operations: ['insert', 'update'] },
  onPostInsert: { timing: 'after', operations: ['insert'] },
  onPostUpdate: { timing: 'after', operations: ['update'] },
  onPostDelete: { timing: 'after', operations: ['delete'] },
  onPostChange: { timing: 'after', operations: ['insert', 'update', 'delete'] },
  onPreSave: { timing: 'before', operations: ['insert', 'update'] },
  onPreInsert: { timing: 'before', operations: ['insert'] },
  onPreUpdate: { timing: 'before', operations: ['update'] },
  onPreDelete: { timing: 'before', operations: ['delete'] },
  onTruncate: { timing: 'after', operations: ['truncate'] },
} as const satisfies Record<string, { timing: 'after' | 'before'; operations: readonly Operation[] }>

export type FamilyMethod = keyof typeof family

/** Options as they come in, not yet checked. */
export type LooseOptions = Record<string, unknown> & { name?: string }

const optionNames = [
  ...['name', 'order', 'wake', 'batchSize', 'concurrency', 'attempts', 'backoff', 'timeoutMs', 'highWaterMark'],
  ...['transactional', 'lease', 'batch', 'delivery', 'schema', 'upcast'],
  ...['columns', 'when', 'omit', 'select', 'keysOnly', 'level', 'replay'],
]

/**
 * Makes the declaration on a model a listener on its table.
 * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN
 */
export function modelListener(
  method: FamilyMethod,
  model: Model,
  given: LooseOptions,
  fallbackName: string,
  handler: unknown,
  defaults: ListenerDefaults,
): Listener {
  checkOptionNames(`${method} on ${model.name}`, given, optionNames)
  const options: LooseOptions = { ...given, name: given.name ?? fallbackName }
  const { name, order, wake, delivery, ...consume } = resolveListenerOptions(options as never, defaults)
  checkHandler(name, handler)
  const where = `listener "${name}" on ${model.name}`
  const columns = watchedColumns(where, method, model, options.columns)
  const { timing, operations } = family[method]
  const { when, operations: filtered } = readWhen(where, operations, options.when, (option, field) =>
    filterField(fieldNamed(where, option, model, field)),
  )
  if (method === 'onTruncate') refuseRowOptions(where, options)
  const fieldNames = new Map(model.fields.map((field) => [field.column, field.name]))
  const stored = storedColumns(name, {
    ...chosenColumns(where, 'omit', model, options.omit),
    ...chosenColumns(where, 'select', model, options.select),
    keysOnly: trueOrFalse(where, 'keysOnly', options.keysOnly ?? false),
  })
  return {
    definition: {
      name,
      table: { schema: model.schema, name: model.table },
      key: model.key,
      timing,
      operations: filtered,
      level: levelOf(name, options.level, timing),
      columns,
      when,
      stored,
      version: shapeVersion(storedFields(model, stored)),
      order,
      wake,
      delivery,
    },
    consume,
    decode: rowDecoder({ ...model, fields: storedFields(model, stored) }),
    fieldName: (column) => fieldNames.get(column),
    ...replayable(where, options.replay, filtered, {
      source: model.name,
      fieldNamed: (option, field) => filterField(fieldNamed('replay', option, model, field)),
    }),
    tableKnown: tableOf(model),
    handler: handler as Listener['handler'],
  }
}

/** @throws PGPUBSUB_INVALID_OPTION at an option that is about rows: a truncated table has none. */
function refuseRowOptions(where: string, options: LooseOptions): void {
  const option = ['omit', 'select', 'keysOnly', 'level'].find((name) => options[name] !== undefined)
  if (!option) return
  throw invalid(
    `${option} of ${where} is about the rows that are stored, and onTruncate has none. Leave ${option} out.`,
  )
}

/** The fields that `old` and `new` have; with the key alone stored, those that the stored row has. */
function storedFields({ fields }: Model, stored: StoredColumns): readonly Field[] {
  switch (stored.kind) {
    case 'all':
    case 'key':
      return fields
    case 'only':
      return fields.filter(({ column }) => stored.columns.includes(column))
    case 'except':
      return fields.filter(({ column }) => !stored.columns.includes(column))
  }
}

function watchedColumns(where: string, method: FamilyMethod, model: Model, names: unknown): string[] | null {
  if (names === undefined) return null
  if (!Array.isArray(names)) throw invalid(`columns of ${where} must be a list of fields, like ['title'].`)
  if (names.length === 0) throw invalid(`columns of ${where} must name at least one field.`)
  const { operations } = family[method]
  if (!operations.some((operation) => operation === 'update')) {
    throw invalid(`columns of ${where} chooses among updates, and ${method} never sees an update.`)
  }
  return names.map((name) => columnNamed(where, 'columns', model, name))
}

function chosenColumns(where: string, option: 'omit' | 'select', model: Model, value: unknown) {
  if (value === undefined) return {}
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${option} of ${where} must be an object like { title: true }.`)
  }
  const columns = Object.entries(value).flatMap(([field, chosen]) => {
    const column = columnNamed(where, option, model, field)
    return chosen !== undefined && trueOrFalse(where, `${field} in ${option}`, chosen) ? [column] : []
  })
  if (columns.length > 0) return { [option]: columns }
  if (option === 'select') throw invalid(`select of ${where} must choose at least one field.`)
  return {}
}

function trueOrFalse(where: string, option: string, value: unknown): boolean {
  if (typeof value === 'boolean') return value
  throw invalid(`${option} of ${where} must be true or false; it is ${show(value)}.`)
}

function columnNamed(where: string, option: string, model: Model, name: unknown): string {
  return fieldNamed(where, option, model, name).column
}

function fieldNamed(where: string, option: string, model: Model, name: unknown): Field {
  const field = model.fields.find((candidate) => candidate.name === name)
  if (field) return field
  const known = model.fields.map((candidate) => candidate.name)
  throw new PubSubError(
    'PGPUBSUB_UNKNOWN_COLUMN',
    `${option} of ${where} names "${String(name)}", which is not a scalar field of ${model.name}. ${nameMeant(name, known, 'Its fields are')}`,
  )
}

function invalid(message: string): PubSubError {
  return new PubSubError('PGPUBSUB_INVALID_OPTION', message)
}
