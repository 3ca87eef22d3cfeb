import { isDate, isMap, isSet, isUint8Array } from 'node:util/types'

/*
 * The payload of a message as JSON. What JSON has no form for is an object with one member, whose name tells what it is:
 * {"$date": "2026-01-31T12:00:00.000Z"}. So whatever is published comes back as it was, under any schema. Another
 * program, or SQL, may write these forms too.
 */

/** A kind of value beyond those that the engine knows, such as the decimals of an ORM. */
export interface PayloadType<T = unknown> {
  /** The member's name, with its `$`. */
  readonly tag: string
  is(value: unknown): value is T
  write(value: T): string
  read(text: string): T
}

/** A value that cannot be stored, or stored JSON that is no value. */
export class PayloadProblem extends Error {}

/** @throws PayloadProblem at what cannot be stored */
export function writePayload(payload: unknown, types: readonly PayloadType[]): string {
  return JSON.stringify(toStored(payload, [...types, ...builtIn], []))
}

/** @throws PayloadProblem at what one of our own forms should not hold */
export function readPayload(json: string, types: readonly PayloadType[]): unknown {
  const stored: unknown = JSON.parse(json)
  return json.includes('"$') ? fromStored(stored, [...types, ...builtIn]) : stored
}

type Path = readonly PropertyKey[]

// what jsonb refuses
const refusedByJsonb = /\0|\p{Surrogate}/u

// biome-ignore lint/suspicious/noExplicitAny: each reads what it has written
const builtIn: readonly PayloadType<any>[] = [
  {
    tag: '$date',
    is: (value): value is Date => isDate(value) && !Number.isNaN(value.getTime()),
    write: (date: Date) => date.toISOString(),
    read: (text) => new Date(text),
  },
  {
    tag: '$bigint',
    is: (value) => typeof value === 'bigint',
    write: String,
    read: BigInt,
  },
  {
    tag: '$number',
    is: (value): value is number => typeof value === 'number' && (!Number.isFinite(value) || Object.is(value, -0)),
    write: (number: number) => (Object.is(number, -0) ? '-0' : String(number)),
    read: Number,
  },
  {
    tag: '$bytes',
    is: isUint8Array,
    write: (bytes: Uint8Array) => Buffer.from(bytes).toString('base64'),
    read: (text) => new Uint8Array(Buffer.from(text, 'base64')),
  },
  {
    tag: '$utf16',
    is: (value): value is string => typeof value === 'string' && refusedByJsonb.test(value),
    write: (text: string) => Buffer.from(text, 'utf16le').toString('base64'),
    read: (text) => Buffer.from(text, 'base64').toString('utf16le'),
  },
]

function toStored(value: unknown, types: readonly PayloadType[], path: Path): unknown {
  const type = types.find((candidate) => candidate.is(value))
  if (type) return { [type.tag]: type.write(value) }
  if (value === undefined) return { $undefined: true }
  if (typeof value === 'function' || typeof value === 'symbol') throw unstorable(path, `a ${typeof value}`)
  if (typeof value !== 'object' || value === null) return value
  const each = (elements: Iterable<unknown>) =>
    Array.from(elements, (element, index) => toStored(element, types, [...path, index]))
  if (Array.isArray(value)) return each(value)
  if (isSet(value)) return { $set: each(value) }
  if (isMap(value)) return { $map: each(value) }
  return storedObject(value, types, path)
}

function storedObject(value: object, types: readonly PayloadType[], path: Path): object {
  if (!isPlain(value)) throw unstorable(path, isDate(value) ? 'an invalid Date' : `an object of ${className(value)}`)
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  const refused = members.find(([name]) => refusedByJsonb.test(name))
  if (refused) throw unstorable(path, 'a name with a NUL character or half a surrogate pair')
  const stored = Object.fromEntries(members.map(([name, member]) => [name, toStored(member, types, [...path, name])]))
  // an object of the program's own that looks like one of our forms
  return looksTagged(Object.keys(stored)) ? { $: stored } : stored
}

function fromStored(stored: unknown, types: readonly PayloadType[]): unknown {
  if (typeof stored !== 'object' || stored === null) return stored
  if (Array.isArray(stored)) return stored.map((element) => fromStored(element, types))
  const names = Object.keys(stored)
  const [tag = ''] = names
  const held: unknown = (stored as Record<string, unknown>)[tag]
  if (looksTagged(names)) {
    const special = fromTagged(tag, held, types)
    if (special) return special.value
  }
  return membersFromStored(stored, types)
}

const membersFromStored = (stored: object, types: readonly PayloadType[]) =>
  Object.fromEntries(Object.entries(stored).map(([name, member]) => [name, fromStored(member, types)]))

/** Null where it is no form of ours: then it is an object like any other. */
function fromTagged(tag: string, held: unknown, types: readonly PayloadType[]): { value: unknown } | null {
  try {
    if (tag === '$undefined') return { value: undefined }
    if (tag === '$') return { value: membersFromStored(held as object, types) }
    if (tag === '$set') return { value: new Set(fromStored(held, types) as unknown[]) }
    if (tag === '$map') return { value: new Map(fromStored(held, types) as [unknown, unknown][]) }
    const type = types.find((candidate) => candidate.tag === tag)
    return type ? { value: type.read(String(held)) } : null
  } catch {
    // without a cause, which has the value in it
    throw new PayloadProblem(`what stands in {"${tag}": …} is not of that kind`)
  }
}

const looksTagged = (names: readonly string[]) => names.length === 1 && (names[0] as string).startsWith('$')

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

const className = (value: object) => `the class ${value.constructor?.name ?? 'without a name'}`

const unstorable = (path: Path, what: string) =>
  new PayloadProblem(`${path.length === 0 ? 'it' : path.map(String).join('.')} is ${what}, which cannot be stored`)
