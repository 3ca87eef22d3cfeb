import { Decimal } from '@prisma/client/runtime/client'
import type { Field, Model } from './data-model.js'
import { members } from './json-members.js'

/*
 * A stored row is PostgreSQL's to_jsonb of it, by column name. Decoded it is what prisma.<model>.findFirst() returns:
 * by field name, in Prisma's types. A column that the row does not have (it was added since) is null, one that the model
 * does not have (it was dropped since) is left out.
 */

export type Row = Record<string, unknown>

/** A value as it stands in the stored JSON; numbers of numeric columns may come as their text. */
type Stored = unknown

/** @returns a function that decodes the stored JSON of the model's rows. */
export function rowDecoder(model: Model): (json: string) => Row {
  const decoders = model.fields.map((field) => ({ ...field, decode: fieldDecoder(field) }))
  const exact = new Set(model.fields.filter(({ type }) => type in exactNumbers).map(({ column }) => column))
  return (json) => {
    const stored = exact.size > 0 && longNumber.test(json) ? parseExactly(json, exact) : JSON.parse(json)
    const row: Row = {}
    for (const { name, column, decode } of decoders) row[name] = decode(stored[column])
    return row
  }
}

// up to 15 digits survive the way through a double
const longNumber = /[\d.]{16}/
const exactNumbers = { BigInt: true, Decimal: true }

function parseExactly(json: string, exact: ReadonlySet<string>): Record<string, Stored> {
  const stored: Record<string, Stored> = {}
  for (const [name, text] of members(json)) stored[name] = exact.has(name) ? numberTexts(text) : JSON.parse(text)
  return stored
}

/** Numbers as their text, also in a list; everything else as JSON has it. */
function numberTexts(text: string): Stored {
  if (text.startsWith('[')) return [...members(text)].map(([, element]) => numberTexts(element))
  return /^-?\d/.test(text) ? text : JSON.parse(text)
}

function fieldDecoder(field: Field): (stored: Stored) => unknown {
  const decode = field.enumValues ? enumDecoder(field.enumValues) : (scalarDecoders[field.type] ?? ((stored) => stored))
  const decodeOne = (stored: Stored) => {
    if (stored === null || stored === undefined) return null
    return decode(isKeptAsText(stored) ? keptText(stored, field) : stored)
  }
  if (!field.isList) return decodeOne
  return (stored) => (Array.isArray(stored) ? stored.map(decodeOne) : [])
}

/** What jsonb could not hold was stored as text: json with a NUL character, say. */
const textMember = '$pgpubsub:text'

function isKeptAsText(stored: Stored): stored is { [textMember]: string } {
  return typeof stored === 'object' && stored !== null && textMember in stored && Object.keys(stored).length === 1
}

const keptText = (stored: { [textMember]: string }, { type }: Field) =>
  type === 'Json' ? JSON.parse(stored[textMember]) : stored[textMember]

const enumDecoder = (values: ReadonlyMap<string, string>) => (stored: Stored) => values.get(stored as string) ?? stored

const scalarDecoders: Record<string, (stored: Stored) => unknown> = {
  String: String,
  BigInt: (stored) => BigInt(stored as string | number),
  // a number, or as text NaN, Infinity, -Infinity
  Float: Number,
  Decimal: (stored) => new Decimal(decimalText(stored)),
  DateTime: (stored) => toDate(String(stored)),
  Bytes: (stored) => toBytes(String(stored)),
}

/** `money` is stored as text with its currency: `-$1,234.50`. */
function decimalText(stored: Stored): string | number {
  if (typeof stored === 'number') return stored
  const text = String(stored)
  return /\d/.test(text) && /[^\d.eE+-]/.test(text) ? text.replace(/[^\d.-]/g, '') : text
}

/** A timestamp is UTC; a time is on the day 1970-01-01, and its offset, as in Prisma, is left out. */
function toDate(text: string): Date {
  if (/^\d{2}:/.test(text)) return new Date(`1970-01-01T${text.replace(/[+-]\d{2}(?::?\d{2}){0,2}$/, '')}Z`)
  if (!text.includes('T')) return new Date(`${text}T00:00:00Z`)
  return new Date(/(?:[+-]\d{2}(?::\d{2}){0,2}|Z)$/.test(text) ? text : `${text}Z`)
}

/** Both of PostgreSQL's ways to write bytes: `\xdead`, and where `bytea_output` is `escape`, `\336\255`. */
function toBytes(text: string): Uint8Array {
  if (text.startsWith('\\x')) return Uint8Array.from(Buffer.from(text.slice(2), 'hex'))
  const bytes: number[] = []
  for (const [, octal, escaped, plain] of text.matchAll(/\\([0-7]{3})|(\\\\)|([^\\])/gs)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8))
    else bytes.push(escaped ? 0x5c : (plain as string).charCodeAt(0))
  }
  return Uint8Array.from(bytes)
}
