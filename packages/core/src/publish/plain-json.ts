import { type SchemaIssue, stepsOf } from '../standard-schema.js'

/*
 * What SQL and other programs publish is plain JSON: a date is a text, a Set is a list. Where the schema expects another
 * kind of value in some place, and JSON has a natural form for it, that is what was meant. Only zod's issues tell what was
 * expected.
 */

interface TypedIssue extends SchemaIssue {
  readonly expected?: unknown
  /** Of a union: what each of its members has against the value. */
  readonly errors?: readonly (readonly TypedIssue[])[]
}

/** A value in a place of its own. */
interface Root {
  value: unknown
}

/** Makes what the issues expect of plain JSON, in place. @returns whether there was something to be made */
export function convertPlain(root: Root, issues: readonly SchemaIssue[], above: readonly PropertyKey[] = []): boolean {
  return issues.map((issue: TypedIssue) => convert(root, issue, [...above, ...stepsOf(issue)])).some(Boolean)
}

function convert(root: Root, issue: TypedIssue, path: readonly PropertyKey[]): boolean {
  if (issue.errors) return issue.errors.some((member) => convertPlain(root, member, path))
  const made = Object.hasOwn(conversions, String(issue.expected)) && conversions[String(issue.expected)]
  const place = made && placeOf(root, path)
  if (!made || !place) return false
  const value = made(place.holder[place.name])
  if (value === undefined) return false
  place.holder[place.name] = value
  return true
}

/** Where the value stands; null inside of what is neither an object nor a list. */
function placeOf(
  root: Root,
  path: readonly PropertyKey[],
): { holder: Record<PropertyKey, unknown>; name: PropertyKey } | null {
  let place = { holder: root as unknown as Record<PropertyKey, unknown>, name: 'value' as PropertyKey }
  for (const step of path) {
    const holder = place.holder[place.name]
    if (typeof holder !== 'object' || holder === null || !Object.hasOwn(holder, step)) return null
    place = { holder: holder as Record<PropertyKey, unknown>, name: step }
  }
  return place
}

/** Undefined where it is not the natural form. */
type Conversion = (plain: unknown) => unknown

const isPair = (element: unknown) => Array.isArray(element) && element.length === 2

const conversions: Record<string, Conversion> = {
  date: (plain) => (typeof plain === 'string' && /^\d{4}-\d\d-\d\d/.test(plain) ? new Date(plain) : undefined),
  // above 2^53 a number of JSON is not what was written
  bigint: (plain) =>
    Number.isSafeInteger(plain) || (typeof plain === 'string' && /^-?\d+$/.test(plain))
      ? BigInt(plain as number | string)
      : undefined,
  set: (plain) => (Array.isArray(plain) ? new Set(plain) : undefined),
  map: (plain) => {
    if (Array.isArray(plain)) return plain.every(isPair) ? new Map(plain) : undefined
    return typeof plain === 'object' && plain !== null ? new Map(Object.entries(plain)) : undefined
  },
  // as to_jsonb writes a bytea
  Uint8Array: (plain) =>
    typeof plain === 'string' && /^\\x(?:[\da-f]{2})*$/.test(plain)
      ? new Uint8Array(Buffer.from(plain.slice(2), 'hex'))
      : undefined,
}
