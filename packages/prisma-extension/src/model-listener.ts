import {
  type Listener,
  type ListenerDefaults,
  type Operation,
  PubSubError,
  resolveListenerOptions,
  storedColumns,
} from '@pgpubsub/core'
import type { Field, Model } from './data-model.js'
import { rowDecoder } from './decode-row.js'

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

const optionNames = new Set([
  ...['name', 'order', 'wake', 'batchSize', 'concurrency', 'attempts', 'backoff'],
  ...['columns', 'omit', 'select', 'keysOnly'],
])

/**
 * Makes the declaration on a model a listener on its table.
 * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN
 */
export function modelListener(
  method: FamilyMethod,
  model: Model,
  options: LooseOptions,
  handler: unknown,
  defaults: ListenerDefaults,
): Listener {
  checkOptionNames(method, model, options)
  const { name, order, wake, ...consume } = resolveListenerOptions(options as never, defaults)
  if (typeof handler !== 'function') {
    throw invalid(`The handler of listener "${name}" must be a function; it is ${typeof handler}.`)
  }
  const where = `listener "${name}" on ${model.name}`
  const columns = options.columns === undefined ? null : columnsNamed(where, 'columns', model, options.columns)
  const chosen = (option: 'omit' | 'select') =>
    options[option] === undefined
      ? {}
      : { [option]: columnsNamed(where, option, model, trueKeys(where, option, options[option])) }
  const fieldNames = new Map(model.fields.map((field) => [field.column, field.name]))
  const stored = storedColumns(name, { ...chosen('omit'), ...chosen('select'), keysOnly: options.keysOnly === true })
  return {
    definition: {
      name,
      table: { schema: model.schema, name: model.table },
      ...family[method],
      columns,
      stored,
      order,
      wake,
    },
    consume,
    decode: rowDecoder({ ...model, fields: storedFields(model, stored) }),
    fieldName: (column) => fieldNames.get(column) ?? column,
    handler: handler as Listener['handler'],
  }
}

/** The fields that `old` and `new` have; with the key alone stored, those that the stored row has. */
function storedFields({ fields }: Model, stored: Listener['definition']['stored']): readonly Field[] {
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

function checkOptionNames(method: FamilyMethod, model: Model, options: LooseOptions): void {
  const unknown = Object.keys(options).find((option) => !optionNames.has(option))
  if (unknown === undefined) return
  throw invalid(
    `${method} on ${model.name} was given the unknown option "${unknown}". Its options are ${[...optionNames].join(', ')}.`,
  )
}

function trueKeys(where: string, option: string, value: unknown): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(`${option} of ${where} must be an object like { title: true }.`)
  }
  return Object.entries(value).flatMap(([field, chosen]) => (chosen ? [field] : []))
}

function columnsNamed(where: string, option: string, model: Model, names: unknown): string[] {
  if (!Array.isArray(names) || names.length === 0) throw invalid(`${option} of ${where} must name at least one field.`)
  return names.map((name) => {
    const field = model.fields.find((candidate) => candidate.name === name)
    if (field) return field.column
    const known = model.fields.map((candidate) => candidate.name).join(', ')
    throw new PubSubError(
      'PGPUBSUB_UNKNOWN_COLUMN',
      `${option} of ${where} names "${String(name)}", which is not a scalar field of ${model.name}. Its fields are ${known}.`,
    )
  })
}

function invalid(message: string): PubSubError {
  return new PubSubError('PGPUBSUB_INVALID_OPTION', message)
}
