import { type StoredOperation, storedOperations } from '../change.js'
import { checkOptionNames, show } from '../check.js'
import { PubSubError } from '../errors.js'

/** Which dead letters: those that fit everything that is given. */
export interface DeadLetterFilter {
  /** Name of the listener, declared here or not. */
  listener?: string
  /** Those of this operation. */
  operation?: StoredOperation
  /** A part of the kept error (message or stack), as it is written there. */
  error?: string
  /** Those that died at this time or later. */
  diedAfter?: Date
  /** Those that died earlier than this. */
  diedBefore?: Date
}

/** One dead letter, several, those that fit a filter, or every one. */
export type DeadLetterSelection = bigint | readonly bigint[] | DeadLetterFilter | 'all'

/** An SQL condition on `dead_letter d`, and its parameters. */
export interface Condition {
  readonly text: string
  readonly values: readonly string[]
}

export const filterNames = ['listener', 'operation', 'error', 'diedAfter', 'diedBefore'] as const

/**
 * What `retry` and `discard` are given. A filter without a criterion would be all, and most often is a mistake.
 * @throws PGPUBSUB_INVALID_OPTION
 */
export function selected(call: string, selection: DeadLetterSelection): Condition {
  if (selection === 'all') return { text: 'true', values: [] }
  if (typeof selection === 'bigint') return selected(call, [selection])
  if (Array.isArray(selection)) {
    if (!selection.every((id) => typeof id === 'bigint'))
      throw invalid(`The ids given to ${call} must be bigints, like 7n or BigInt('7').`)
    return { text: 'd.id = any ($1::bigint[])', values: [`{${selection.join(',')}}`] }
  }
  if (typeof selection !== 'object' || selection === null) {
    throw invalid(
      `${call} takes an id, which is a bigint like 7n or BigInt('7'), a list of them, a filter, or 'all'. It was given ${show(selection)}.`,
    )
  }
  const filter = selection as DeadLetterFilter
  checkOptionNames(call, filter, filterNames)
  const condition = filtered(call, filter)
  if (condition.values.length > 0) return condition
  throw invalid(`${call} was given a filter without a criterion. Say 'all' for every dead letter of every listener.`)
}

/** @throws PGPUBSUB_INVALID_OPTION */
export function filtered(call: string, filter: DeadLetterFilter & { before?: bigint }): Condition {
  const { listener, operation, error, diedAfter, diedBefore, before } = filter
  const texts: string[] = ['true']
  const values: string[] = []
  const add = (value: string, text: (parameter: string) => string) => texts.push(text(`$${values.push(value)}`))
  if (listener !== undefined) add(textOf(call, 'listener', listener), (name) => `d.listener = ${name}::text`)
  if (operation !== undefined) add(operationOf(call, operation), (name) => `d.operation = ${name}::text`)
  if (error !== undefined) add(textOf(call, 'error', error), (part) => `strpos(d.last_error, ${part}::text) > 0`)
  if (diedAfter !== undefined) add(timeOf(call, 'diedAfter', diedAfter), (at) => `d.died_at >= ${at}::timestamptz`)
  if (diedBefore !== undefined) add(timeOf(call, 'diedBefore', diedBefore), (at) => `d.died_at < ${at}::timestamptz`)
  if (before !== undefined) {
    if (typeof before !== 'bigint') throw invalid(`before of ${call} must be the id of a dead letter, a bigint.`)
    add(String(before), (id) => `d.id < ${id}::bigint`)
  }
  return { text: texts.join(' and '), values }
}

function textOf(call: string, option: string, value: unknown): string {
  if (typeof value === 'string' && value !== '' && !value.includes('\0')) return value
  throw invalid(`${option} of ${call} must be a text that is not empty.`)
}

function operationOf(call: string, value: unknown): string {
  if (storedOperations.includes(value as StoredOperation)) return value as StoredOperation
  throw invalid(`operation of ${call} must be one of ${storedOperations.join(', ')}.`)
}

function timeOf(call: string, option: string, value: unknown): string {
  const time = value instanceof Date ? value.getTime() : Number.NaN
  // PostgreSQL reads a year of four digits
  if (time >= 0 && time < Date.UTC(10_000, 0)) return new Date(time).toISOString()
  throw invalid(`${option} of ${call} must be a Date between the years 1970 and 9999.`)
}

const invalid = (message: string) => new PubSubError('PGPUBSUB_INVALID_OPTION', message)
