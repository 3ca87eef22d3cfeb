import { keptAsText, members, PubSubError } from '@pgpubsub/core'
import { Decimal } from '@prisma/client/runtime/client'
import type { Field, Model } from './data-model.js'

/*
 * A stored row is PostgreSQL's row_to_json of it, by column name; the triggers write it alike in every session, in UTC and
 * with bytes in hex. Decoded it is what prisma.<model>.findFirst() returns: by field name, in Prisma's types. A column
 * that the row does not have (it was added since) is null, one that the model does not have (it was dropped since) is
 * left out.
 */

/** A decoded row, by the names of its fields. */
export type Row = Record<string, unknown>

/** A value as it stands in the stored JSON; numbers of numeric columns may come as their text. */
type Stored = unknown

/** @returns a function that decodes the stored JSON of the model's rows. */
export function rowDecoder(model: Model): (json: string) => Row {
  const decoders = model.fields.map((field) => ({
    name: field.name,
    column: field.column,
    decode: fieldDecoder(field),
    absent: field.isList ? () => [] : () => null,
    // a column that is not stored may be named like something that every object inherits: "constructor"
    mayBeInherited: field.column in Object.prototype,
  }))
  const exact = new Set(model.fields.filter(({ type }) => exactNumbers.has(type)).map(({ column }) => column))
  const jsonColumns = new Set(model.fields.filter(({ type }) => type === 'Json').map(({ column }) => column))
  return (json) => {
    const stored = parse(json, exact)
    if (Object.hasOwn(stored, keptAsText)) parseKeptTexts(stored, jsonColumns)
    const row: Row = {}
    let reading = ''
    try {
      for (const field of decoders) {
        reading = field.name
        const value = field.mayBeInherited && !Object.hasOwn(stored, field.column) ? null : stored[field.column]
        row[field.name] = value === null || value === undefined ? field.absent() : field.decode(value)
      }
    } catch {
      throw unreadable(model, reading)
    }
    return row
  }
}

/** Without a cause: what the decoders throw has the value in it, and this is kept and logged. */
const unreadable = (model: Model, field: string) =>
  new PubSubError(
    'PGPUBSUB_UNREADABLE_ROW',
    `The stored value of "${field}" of ${model.name} cannot be read as the type that the field has now. Where a migration has changed the type, convert the notifications and dead letters that were stored before, or discard them.`,
  )

// up to 15 digits survive the way through a double
const longNumber = /[\d.]{16}/
// a number may wait for a field that a migration has made a String
const exactNumbers = new Set(['BigInt', 'Decimal', 'String'])

/** Twice only where a number may have lost digits: to look for long ones in every text would take as long as to parse it. */
function parse(json: string, exact: ReadonlySet<string>): Record<string, Stored> {
  const stored: Record<string, Stored> = JSON.parse(json)
  for (const column of exact) {
    const value = stored[column]
    const isNumber = typeof value === 'number' || Array.isArray(value)
    if (isNumber && longNumber.test(json)) return parseExactly(json, exact)
  }
  return stored
}

function parseExactly(json: string, exact: ReadonlySet<string>): Record<string, Stored> {
  const stored: Record<string, Stored> = Object.create(null)
  for (const [name, text] of members(json)) stored[name] = exact.has(name) ? numberTexts(text) : JSON.parse(text)
  return stored
}

/** Numbers as their text, also in a list; everything else as JSON has it. */
function numberTexts(text: string): Stored {
  if (text.startsWith('[')) return [...members(text)].map(([, element]) => numberTexts(element))
  return /^-?\d/.test(text) ? text : JSON.parse(text)
}

/** Decodes a value that is there. */
function fieldDecoder(field: Field): (stored: Stored) => unknown {
  const decode = field.members ? enumDecoder(field.members) : (scalarDecoder(field.type) ?? ((stored) => stored))
  if (!field.isList) return decode
  const decodeElement = (stored: Stored) => (stored === null ? null : decode(stored))
  return (stored) => (Array.isArray(stored) ? stored.map(decodeElement) : unreadableAs())
}

/** Parses the json that jsonb could not hold, as json with a NUL character, where it was kept as text. */
function parseKeptTexts(stored: Record<string, Stored>, jsonColumns: ReadonlySet<string>): void {
  const columns = stored[keptAsText]
  if (!Array.isArray(columns)) return
  for (const column of columns) {
    const text = stored[column]
    if (jsonColumns.has(column) && typeof text === 'string') stored[column] = JSON.parse(text)
  }
}

/** A value of another type than the field has now: a migration has changed it. */
const unreadableAs = (): never => {
  throw new TypeError()
}

/** Where the schema's text is missing, no value is known, and each stays as it is. */
function enumDecoder(members: ReadonlyMap<string, string>) {
  const values = new Map([...members].map(([member, value]) => [value, member]))
  return (stored: Stored) => values.get(stored as string) ?? (values.size === 0 ? stored : unreadableAs())
}

const scalarDecoders: Readonly<Record<string, (stored: Stored) => unknown>> = {
  String: (stored) => (typeof stored === 'string' ? stored : textOf(stored)),
  Boolean: (stored) => (typeof stored === 'boolean' ? stored : booleanOf(stored)),
  Int: (stored) => (Number.isInteger(stored) ? stored : integerOf(stored)),
  BigInt: (stored) => BigInt(textOf(stored) || unreadableAs()),
  Float: (stored) => (typeof stored === 'number' ? stored : floatOf(stored)),
  Decimal: (stored) => new Decimal(decimalText(stored)),
  Bytes: (stored) => bytesOf(textOf(stored)),
}

const scalarDecoder = (type: string) => (type === 'DateTime' ? dateTimeDecoder() : scalarDecoders[type])

/** What one statement has written has one time, and most columns of a row are the same before and after. */
function dateTimeDecoder() {
  let text: string | null = null
  let time = 0
  return (stored: Stored) => {
    if (stored === text) return new Date(time)
    const date = toDate(textOf(stored))
    if (typeof stored === 'string') [text, time] = [stored, date.getTime()]
    return date
  }
}

function textOf(stored: Stored): string {
  return typeof stored === 'object' ? unreadableAs() : String(stored)
}

const booleanOf = (stored: Stored) => stored === 'true' || (stored === 'false' ? false : unreadableAs())

/** An oid is text in JSON. */
const integerOf = (stored: Stored) =>
  typeof stored === 'string' && /^[+-]?\d+$/.test(stored) ? Number(stored) : unreadableAs()

/** As text come NaN, Infinity and -Infinity. */
function floatOf(stored: Stored): number {
  const number = stored === '' ? Number.NaN : Number(textOf(stored))
  return Number.isNaN(number) && stored !== 'NaN' ? unreadableAs() : number
}

/** `\xdeadbeef` */
function bytesOf(text: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(text.slice(2), 'hex'))
  // what is not hexadecimal ends it
  return text.startsWith('\\x') && bytes.length * 2 === text.length - 2 ? bytes : unreadableAs()
}

/** `money` is stored as text, as the database's `lc_monetary` writes it: `-$1,234.50`, `1.234,50 €`, `(£3.00)`. */
function decimalText(stored: Stored): string | number {
  if (typeof stored === 'number') return stored
  const text = textOf(stored)
  if (!/\d/.test(text) || /^[\d.eE+-]+$/.test(text)) return text
  // no currency has more letters than three: it is another text
  if (/\p{L}.*\p{L}.*\p{L}.*\p{L}/u.test(text)) return unreadableAs()
  const number = text.replace(/^\D+/, '').replace(/\D+$/, '')
  // two digits, or one, behind the last separator are cents: groups of thousands have three
  const [, whole, cents] = /^(.*?)(?:[.,](\d\d?))?$/.exec(number) as unknown as [string, string, string?]
  return `${/[-(]/.test(text) ? '-' : ''}${whole.replace(/\D/g, '')}.${cents ?? '0'}`
}

// in most rows, all: `2026-01-31T12:00:00.123456`
const plainTimestamp = /^[12]\d{3}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?$/
const timestamp = /^(\d{4,})(-\d\d-\d\d)(?:T([\d:.]+))?(?:\+00:00)?( BC)?$/

/**
 * Timestamps are stored in UTC; a time is on the day 1970-01-01, and its offset, as in Prisma, is left out. PostgreSQL's
 * years go beyond four digits and before Christ. `infinity` is no date to JavaScript.
 */
function toDate(text: string): Date {
  if (plainTimestamp.test(text)) return plainDate(text)
  if (/^\d{2}:\d{2}:/.test(text)) return new Date(`1970-01-01T${text.replace(/[+-]\d{2}(?::\d{2}){0,2}$/, '')}Z`)
  if (/^-?infinity$/.test(text)) return new Date(Number.NaN)
  const [, year, day, time = '00:00:00', bc] = timestamp.exec(text) ?? unreadableAs()
  return new Date(`${isoYear(bc ? 1 - Number(year) : Number(year))}${day}T${time}Z`)
}

/** What `new Date()` makes of it, in a third of the time. */
function plainDate(text: string): Date {
  const two = (at: number) => (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48
  // up to three digits behind the point: what is missing is 0, what is more is cut off
  const digit = (at: number) => (at < text.length ? text.charCodeAt(at) - 48 : 0)
  const milliseconds = digit(20) * 100 + digit(21) * 10 + digit(22)
  return new Date(Date.UTC(two(0) * 100 + two(2), two(5) - 1, two(8), two(11), two(14), two(17), milliseconds))
}

function isoYear(year: number): string {
  if (year >= 0 && year <= 9999) return String(year).padStart(4, '0')
  return `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`
}
