import type { Change as AnyChange, Context, StoredOperation } from '../change.js'
import { keptAsText, members } from '../json-members.js'
import type { Listener } from '../listener.js'
import type { Claimed } from './claim.js'
import type { Received } from './received.js'
import type { Stop } from './stop.js'
import { toMessage } from './to-message.js'

/** The stored notification as the handler sees it: a change or a message. Throws what the decoder throws. */
export function toGiven(listener: Listener, stored: Claimed, stop: Stop, tx?: unknown) {
  const { definition } = listener
  const given =
    'channel' in definition ? toMessage(listener, definition, stored, stop, tx) : toChange(listener, stored, stop, tx)
  return 'truncated' in stored ? marked(listener, given, stored as Received) : given
}

/** Tells whether it was too large; then no field is there but those that were sent. */
function marked<Given extends object>(listener: Listener, given: Given, { truncated, old, new: now }: Received): Given {
  Object.assign(given, { truncated })
  return truncated ? Object.assign(given, { old: sentFields(listener, old), new: sentFields(listener, now) }) : given
}

function sentFields(listener: Listener, json: string | null): object | null {
  if (json === null) return null
  const sent = new Set([...members(json)].map(([column]) => listener.fieldName(column)))
  return Object.fromEntries(Object.entries(listener.decode(json) as object).filter(([field]) => sent.has(field)))
}

/** Throws what the decoder throws: then the attempt has failed. */
function toChange(listener: Listener, stored: Claimed, stop: Stop, tx?: unknown): AnyChange<unknown> {
  const change = new Change(listener, stored, stop) as unknown as AnyChange<unknown>
  return tx === undefined ? change : Object.assign(change, { tx })
}

/** What `changed` is, is found out when it is asked for, and the signal made. */
class Change {
  readonly #listener: Listener
  readonly #stored: Claimed
  readonly #stop: Stop
  #changed: string[] | undefined
  readonly id: bigint
  readonly listener: string
  readonly operation: StoredOperation
  readonly old: unknown
  readonly new: unknown
  readonly context: Context
  readonly attempt: number
  readonly createdAt: Date

  constructor(listener: Listener, stored: Claimed, stop: Stop) {
    this.#listener = listener
    this.#stored = stored
    this.#stop = stop
    this.id = stored.id
    this.listener = listener.definition.name
    this.operation = stored.operation as StoredOperation
    this.old = stored.old === null ? null : listener.decode(stored.old)
    this.new = stored.new === null ? null : listener.decode(stored.new)
    this.context = stored.context === '{}' ? {} : JSON.parse(stored.context)
    this.attempt = stored.attempts + 1
    this.createdAt = stored.createdAt
    Object.defineProperty(this, 'signal', Change.#signal)
    Object.defineProperty(this, 'changed', Change.#changedFields)
  }

  // Its own, so that a copy has them too. A getter in an object's literal makes that object four times as slow.
  static readonly #signal = {
    enumerable: true,
    configurable: true,
    get(this: Change) {
      return this.#stop.signal
    },
  }

  static readonly #changedFields = {
    enumerable: true,
    configurable: true,
    get(this: Change) {
      this.#changed ??= changedFields(this.#listener, this.#stored)
      return this.#changed
    },
  }
}

/** Names of the changed fields: stored where only a part of the row is, else found by comparing. */
function changedFields(listener: Listener, { changed, old, new: now }: Claimed): string[] {
  return (changed ?? differing(old, now)).flatMap((column) => listener.fieldName(column) ?? [])
}

/** Columns whose values differ; where one of the rows is null, all. Large values are compared as they are, not parsed. */
function differing(old: string | null, now: string | null): string[] {
  const before = new Map(old === null ? [] : members(old))
  const after = new Map(now === null ? [] : members(now))
  const columns = [...new Set([...before.keys(), ...after.keys()])].filter((column) => column !== keptAsText)
  if (old === null || now === null) return columns
  return columns.filter((column) => !isSame(before.get(column), after.get(column)))
}

/** A number can be written with more or fewer zeros behind its point. */
function isSame(before: string | undefined, after: string | undefined): boolean {
  if (before === after) return true
  return isShortNumber(before) && isShortNumber(after) && Number(before) === Number(after)
}

/** One that a double tells from all others. */
const isShortNumber = (text: string | undefined) => text !== undefined && /^-?[\d.]{1,15}$/.test(text)
