import type { StoredOperation } from '../change.js'
import { PubSubError } from '../errors.js'
import { members } from '../json-members.js'
import type { Listener } from '../listener.js'
import type { RowByColumn, StoredChange, Upcast } from '../stored-change.js'
import type { Claimed } from './claim.js'

/**
 * The notification as the present version of its model would have stored it.
 * @throws PGPUBSUB_UPCAST_FAILED
 */
export function upcasted(listener: Listener, upcast: Upcast, stored: Claimed, storedBy: string | null): Claimed {
  const [old, now] = [parsed(stored.old), parsed(stored.new)]
  const change: StoredChange = {
    id: stored.id,
    listener: listener.definition.name,
    operation: stored.operation as StoredOperation,
    old: old?.row ?? null,
    new: now?.row ?? null,
    changed: stored.changed,
    context: JSON.parse(stored.context),
    createdAt: stored.createdAt,
  }
  try {
    const made = upcast(change, storedBy)
    return {
      ...stored,
      old: written(old, made.old),
      new: written(now, made.new),
      changed: made.changed ?? stored.changed,
    }
  } catch (cause) {
    throw new PubSubError(
      'PGPUBSUB_UPCAST_FAILED',
      `The upcast of listener "${change.listener}" has not made a change of the one that was stored by version ${storedBy ?? 'unknown'}. Mend it, and retry the dead letter.`,
      { cause },
    )
  }
}

/** A stored row, and the JSON texts that its values have: one that is not changed is written as it was, with all its digits. */
interface Parsed {
  readonly row: RowByColumn
  readonly texts: ReadonlyMap<string, string>
  readonly objects: ReadonlyMap<unknown, string>
}

// up to 15 digits survive the way through a double
const longNumber = /^-?[\d.]{16}/

function parsed(json: string | null): Parsed | null {
  if (json === null) return null
  const row: Record<string, unknown> = Object.create(null)
  const texts = new Map<string, string>()
  const objects = new Map<unknown, string>()
  for (const [name, text] of members(json)) {
    const value = longNumber.test(text) ? text : JSON.parse(text, (_, inner) => Object.freeze(inner))
    row[name] = value
    texts.set(name, text)
    if (typeof value === 'object' && value !== null) objects.set(value, text)
  }
  return { row, texts, objects }
}

/** A change keeps the rows that its operation has. */
function written(before: Parsed | null, row: RowByColumn | null | undefined): string | null {
  if (before === null) return null
  if (typeof row !== 'object' || row === null) throw new TypeError('It returned no row where the change has one.')
  const values = Object.entries(row).filter(([, value]) => value !== undefined)
  return `{${values.map(([name, value]) => `${JSON.stringify(name)}:${valueText(before, name, value)}`).join(',')}}`
}

function valueText({ row, texts, objects }: Parsed, name: string, value: unknown): string {
  const text = row[name] === value ? texts.get(name) : objects.get(value)
  if (text !== undefined) return text
  // as PostgreSQL writes a timestamp in UTC
  if (value instanceof Date) return JSON.stringify(value.toISOString().slice(0, -1))
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value)
}
