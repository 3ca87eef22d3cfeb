import type { Operation } from '../change.js'
import { checkOptionNames, invalid, oneOf, show } from '../check.js'
import type { Comparison, Condition, RowName, When } from './condition.js'
import { rowsOf } from './notification.js'

/*
 * Reads a filter in the words of Prisma's findMany({ where }) into a condition. It means what Prisma makes of it: what says
 * nothing is left out, also of an OR; every word of a `not: { … }` is denied by itself; `%` and `_` stay what they are
 * to LIKE.
 */

const scalarWords = ['equals', 'not', 'in', 'notIn', 'lt', 'lte', 'gt', 'gte'] as const
const textWords = ['contains', 'startsWith', 'endsWith', 'mode'] as const
const listWords = ['has', 'hasSome', 'hasEvery', 'isEmpty'] as const
export const filterWords = [...scalarWords, ...textWords, ...listWords] as const
/** A word of a filter on one field. */
export type FilterWord = (typeof filterWords)[number]

/** A field or column that a filter may name. */
export interface FilterField {
  readonly column: string
  readonly words: readonly FilterWord[]
  /** PostgreSQL's text of a value, for a list that of an element; undefined where it is not a value of the field. */
  readonly text: (value: unknown) => string | undefined
  /** What its values are, for messages: `a Date`. */
  readonly expects: string
  /** `{ field: value }` is short for `{ field: { equals: value } }`. */
  readonly short: boolean
  /** What `equals` means, where that is more than one comparison. */
  readonly equals?: (value: unknown) => Condition | undefined
}

/** What `when` of a listener means, and the operations that are left: those which have one of the rows it names. */
export function readWhen(
  where: string,
  operations: readonly Operation[],
  when: unknown,
  fieldNamed: (option: string, name: string) => FilterField,
): { when: When | null; operations: readonly Operation[] } {
  if (when === undefined) return { when: null, operations }
  checkOptionNames(`when of ${where}`, when, ['new', 'old'])
  const given = Object.entries(when as object).filter(([, filter]) => filter !== undefined)
  const rows = given.map(([row]) => row as RowName)
  const has = (row: RowName) => operations.some((operation) => rowsOfOperation(operation).includes(row))
  const pointless = rows.find((row) => !has(row))
  if (pointless) throw invalid(`when of ${where} filters the ${pointless} row, and none of its operations has one.`)
  if (rows.length === 0) throw invalid(`when of ${where} must filter the new row, the old row, or both.`)
  const conditions = given.map(([row, filter]) => {
    const option = `when.${row}`
    const reading: Reading = { where: `${option} of ${where}`, fieldNamed: (name) => fieldNamed(option, name) }
    return [row, readGroup(reading, filter) ?? { all: [] }]
  })
  return {
    when: Object.fromEntries(conditions),
    operations: operations.filter((operation) => rowsOfOperation(operation).some((row) => rows.includes(row))),
  }
}

/** What a filter of rows means; null where it asks nothing. @throws PGPUBSUB_INVALID_OPTION */
export const readFilter = (
  where: string,
  filter: unknown,
  fieldNamed: (name: string) => FilterField,
): Condition | null => readGroup({ where, fieldNamed }, filter) ?? null

const rowsOfOperation = (operation: Operation): readonly RowName[] =>
  operation === 'truncate' ? [] : rowsOf(operation)

interface Reading {
  readonly where: string
  readonly fieldNamed: (name: string) => FilterField
}

/** A condition, or undefined where there is nothing to ask. */
type Read = Condition | undefined

function readGroup(reading: Reading, group: unknown): Read {
  if (!isPlain(group)) throw invalid(`${reading.where} must be an object like { title: 'x' }; it has ${show(group)}.`)
  return allOf(
    Object.entries(group).map(([name, value]) => (value === undefined ? undefined : readMember(reading, name, value))),
  )
}

function readMember(reading: Reading, name: string, value: unknown): Read {
  switch (name) {
    case 'AND':
      return allOf([value].flat().map((group) => readGroup(reading, group)))
    case 'NOT':
      return allOf([value].flat().map((group) => denied(readGroup(reading, group))))
    case 'OR':
      return readOr(reading, value)
    default:
      return readField({ ...reading, name, field: reading.fieldNamed(name) }, value)
  }
}

function readOr(reading: Reading, value: unknown): Read {
  if (!Array.isArray(value)) throw invalid(`OR in ${reading.where} must be a list of filters; it is ${show(value)}.`)
  const any = value.map((group) => readGroup(reading, group)).filter((condition) => condition !== undefined)
  if (any.length > 0) return any.length === 1 ? any[0] : { any }
  throw invalid(`OR in ${reading.where} has no condition to choose from: leave it out, or give it one.`)
}

interface FieldReading extends Reading {
  readonly name: string
  readonly field: FilterField
}

function readField(reading: FieldReading, value: unknown): Read {
  const { field, name, where } = reading
  if (field.short) {
    if (value === null) return isNull(field)
    if (field.text(value) !== undefined) return equalTo(reading, value, false)
  }
  if (!isPlain(value)) {
    const or = field.short ? `${field.expects} or ` : ''
    throw invalid(`"${name}" in ${where} must be ${or}an object like { ${field.words[0]}: … }; it is ${show(value)}.`)
  }
  const { mode, ...words } = value
  if (mode !== undefined) checkMode(reading, mode)
  return readWords(reading, words, mode === 'insensitive')
}

function checkMode({ field, name, where }: FieldReading, mode: unknown): void {
  if (!field.words.includes('mode')) throw invalid(`"${name}" in ${where} takes no mode: only a String has one.`)
  oneOf(`"${name}" in ${where}`, 'mode', ['default', 'insensitive'], mode)
}

function readWords(reading: FieldReading, words: object, insensitive: boolean): Read {
  return allOf(
    Object.entries(words).map(([word, value]) => {
      const { field, name, where } = reading
      if (!field.words.includes(word as FilterWord)) {
        const choices = field.words.join(', ')
        throw invalid(`"${name}" in ${where} has the unknown word "${word}". There are ${choices}.`)
      }
      return value === undefined ? undefined : readWord(reading, word as FilterWord, value, insensitive)
    }),
  )
}

const orders = { lt: '<', lte: '<=', gt: '>', gte: '>=' } as const

function readWord(reading: FieldReading, word: FilterWord, value: unknown, insensitive: boolean): Read {
  const { field, name, where } = reading
  const { column } = field
  const sensitivity = insensitive ? { insensitive } : {}
  const text = (one: unknown) => textOf(reading, word, one)
  const texts = () => listOf(reading, word, value).map(text)
  switch (word) {
    case 'equals':
      return value === null ? isNull(field) : equalTo(reading, value, insensitive)
    case 'not':
      return readNot(reading, value, insensitive)
    case 'in':
      if (value === null) return isNull(field)
      return texts().length === 0 ? { any: [] } : { column, is: 'in', value: texts(), ...sensitivity }
    case 'notIn':
      return denied(readWord(reading, 'in', value, insensitive))
    case 'lt':
    case 'lte':
    case 'gt':
    case 'gte':
      return { column, is: orders[word], value: text(value), ...sensitivity }
    case 'contains':
      return like(reading, word, `%${text(value)}%`, insensitive)
    case 'startsWith':
      return like(reading, word, `${text(value)}%`, insensitive)
    case 'endsWith':
      return like(reading, word, `%${text(value)}`, insensitive)
    case 'has':
      return { column, is: 'has every', value: [text(value)] }
    case 'hasEvery':
      return { column, is: 'has every', value: texts() }
    case 'hasSome':
      return { column, is: 'has some', value: texts() }
    case 'isEmpty': {
      if (typeof value !== 'boolean') throw invalid(`isEmpty of "${name}" in ${where} must be true or false.`)
      const empty: Condition = { column, is: 'empty' }
      return value ? empty : { not: empty }
    }
    case 'mode':
      return undefined
  }
}

function readNot(reading: FieldReading, value: unknown, insensitive: boolean): Read {
  const { field, name, where } = reading
  if (value === null) return denied(isNull(field))
  // any object is a value of JSON
  const isValue = field.equals !== undefined || field.text(value) !== undefined
  if (isValue || !isPlain(value)) return denied(equalTo(reading, value, insensitive))
  if ('not' in value) throw invalid(`not of "${name}" in ${where} has a not in it: say it without both.`)
  if ('mode' in value) throw invalid(`mode of "${name}" in ${where} belongs beside not, and not into it.`)
  return allOf(
    Object.entries(value).map(([word, operand]) => denied(readWords(reading, { [word]: operand }, insensitive))),
  )
}

function equalTo(reading: FieldReading, value: unknown, insensitive: boolean): Read {
  const { field } = reading
  const special = field.equals?.(value)
  if (special) return special
  if (field.words.includes('has') && Array.isArray(value)) {
    return { column: field.column, is: '=', value: value.map((one) => textOf(reading, 'equals', one)) }
  }
  const text = textOf(reading, 'equals', value)
  return insensitive ? like(reading, 'equals', text, true) : { column: field.column, is: '=', value: text }
}

function like({ field, name, where }: FieldReading, word: string, pattern: string, insensitive: boolean): Comparison {
  // the sign that takes the next one's meaning away has no next one: PostgreSQL would fail the write
  if (/(?<!\\)(?:\\\\)*\\$/.test(pattern)) {
    throw invalid(
      `${word} of "${name}" in ${where} ends with a backslash, which LIKE takes for the beginning of an escape: write it twice.`,
    )
  }
  return { column: field.column, is: 'like', value: pattern, ...(insensitive ? { insensitive } : {}) }
}

function textOf({ field, name, where }: FieldReading, word: string, value: unknown): string {
  const text = field.text(value)
  if (text !== undefined) return text
  throw invalid(`${word} of "${name}" in ${where} must be ${field.expects}; it is ${show(value)}.`)
}

function listOf({ name, where }: FieldReading, word: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value
  throw invalid(`${word} of "${name}" in ${where} must be a list; it is ${show(value)}.`)
}

const isNull = ({ column }: FilterField): Condition => ({ column, is: 'null' })

const denied = (condition: Read): Read => condition && { not: condition }

function allOf(conditions: readonly Read[]): Read {
  const all = conditions.filter((condition) => condition !== undefined)
  return all.length > 1 ? { all } : all[0]
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
