/* Values of filters as the texts that PostgreSQL reads; undefined for what is not such a value. */

/** A text that PostgreSQL can store: without NUL, and without half a surrogate pair. */
const stringText = (value: unknown): string | undefined =>
  typeof value === 'string' && !/\0|\p{Surrogate}/u.test(value) ? value : undefined

const numberText = (value: unknown): string | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? String(value) : undefined

const integerText = (value: unknown): string | undefined =>
  typeof value === 'bigint' || Number.isSafeInteger(value) ? String(value) : undefined

const booleanText = (value: unknown): string | undefined => (typeof value === 'boolean' ? String(value) : undefined)

/** In UTC; columns without a time zone take it as it stands. PostgreSQL has no year 0, and counts down from 1 BC. */
function dateText(value: unknown): string | undefined {
  if (!(value instanceof Date) || Number.isNaN(value.getTime())) return undefined
  const year = value.getUTCFullYear()
  // a blank and no T: a `time` takes the day before it only so
  const rest = value
    .toISOString()
    .replace(/^[+-]?\d+/, '')
    .replace('T', ' ')
    .replace('Z', '+00')
  const number = String(year > 0 ? year : 1 - year).padStart(4, '0')
  return `${number}${rest}${year > 0 ? '' : ' BC'}`
}

const bytesText = (value: unknown): string | undefined =>
  value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : undefined

/** How values of each kind are written. */
export const filterTexts = {
  string: stringText,
  number: numberText,
  integer: integerText,
  boolean: booleanText,
  date: dateText,
  bytes: bytesText,
}

/** Of whatever kind: for a column whose type only the database knows. */
export function anyText(value: unknown): string | undefined {
  for (const read of Object.values(filterTexts)) {
    const text = read(value)
    if (text !== undefined) return text
  }
  return undefined
}
