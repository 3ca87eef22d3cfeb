import { type FilterCondition, type FilterField, type FilterWord, filterTexts } from '@pgpubsub/core'
import { Decimal, isAnyNull, isDbNull, isJsonNull } from '@prisma/client/runtime/client'
import type { Field } from './data-model.js'

/* What a filter may ask of a model's field, and how its values are written for PostgreSQL: as findMany({ where }) takes them. */

const same = ['equals', 'not'] as const
const some = [...same, 'in', 'notIn'] as const
const ordered = [...some, 'lt', 'lte', 'gt', 'gte'] as const
const text = [...ordered, 'contains', 'startsWith', 'endsWith', 'mode'] as const
const list = ['has', 'hasSome', 'hasEvery', 'isEmpty', 'equals'] as const

interface Kind {
  readonly words: readonly FilterWord[]
  readonly text: (value: unknown) => string | undefined
  readonly expects: string
}

const kinds: Readonly<Record<string, Kind>> = {
  String: { words: text, text: filterTexts.string, expects: 'a text without NUL' },
  Boolean: {
    words: same,
    text: filterTexts.boolean,
    expects: 'a boolean',
  },
  Int: { words: ordered, text: wholeNumber, expects: 'a whole number' },
  BigInt: { words: ordered, text: filterTexts.integer, expects: 'a bigint or a whole number' },
  Float: { words: ordered, text: filterTexts.number, expects: 'a finite number' },
  Decimal: { words: ordered, text: decimalText, expects: 'a Decimal, a number or its text' },
  DateTime: { words: ordered, text: timeText, expects: 'a Date, or its text in ISO 8601 with a time and a zone' },
  Bytes: { words: some, text: filterTexts.bytes, expects: 'a Uint8Array' },
  Json: { words: same, text: jsonText, expects: 'JSON, or Prisma.DbNull, JsonNull or AnyNull' },
}

export function filterField(field: Field): FilterField {
  const { words, ...kind } = kindOf(field)
  if (field.isList)
    return { ...kind, column: field.column, words: field.type === 'Json' ? ['isEmpty'] : list, short: false }
  if (field.type !== 'Json') return { ...kind, column: field.column, words, short: true }
  return { ...kind, column: field.column, words, short: false, equals: (value) => nullOfJson(field.column, value) }
}

function kindOf({ type, members }: Field): Kind {
  if (members) {
    // a client without the text of its schema does not know them
    if (members.size === 0) return { words: some, text: filterTexts.string, expects: `a value of ${type}` }
    const names = [...members.keys()].map((name) => `'${name}'`).join(', ')
    return { words: some, text: (value) => members.get(value as string), expects: `one of ${names}` }
  }
  return kinds[type] as Kind
}

function wholeNumber(value: unknown): string | undefined {
  return typeof value === 'number' ? filterTexts.integer(value) : undefined
}

function decimalText(value: unknown): string | undefined {
  if (typeof value === 'bigint' || value === null) return undefined
  try {
    const decimal = new Decimal(value as Decimal)
    return decimal.isFinite() ? decimal.toFixed() : undefined
  } catch {
    return undefined
  }
}

const isoTime = /^[+-]?\d{4,6}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)$/

function timeText(value: unknown): string | undefined {
  if (typeof value !== 'string') return filterTexts.date(value)
  return isoTime.test(value) ? filterTexts.date(new Date(value)) : undefined
}

function jsonText(value: unknown): string | undefined {
  if (isDbNull(value) || isJsonNull(value) || isAnyNull(value)) return undefined
  try {
    const json: string | undefined = JSON.stringify(value)
    return json === undefined || json.includes('\\u0000') ? undefined : json
  } catch {
    return undefined
  }
}

/** A null of the database, one of JSON, or either; a bare null is JSON's. */
function nullOfJson(column: string, value: unknown): FilterCondition | undefined {
  const ofDatabase: FilterCondition = { column, is: 'null' }
  const ofJson: FilterCondition = { column, is: '=', value: 'null' }
  if (isDbNull(value)) return ofDatabase
  if (isJsonNull(value)) return ofJson
  return isAnyNull(value) ? { any: [ofJson, ofDatabase] } : undefined
}
