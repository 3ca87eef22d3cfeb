import { setTimeout as pass } from 'node:timers/promises'
import { abortable } from '../consume/stop.js'
import { untilAborted } from '../consume/until-aborted.js'
import type { Pool } from '../database.js'
import type { Events } from '../events.js'
import { listenerNotInstalled } from '../install/not-installed.js'
import { read } from '../observe/read.js'
import { readyAbove } from '../observe/ready-above.js'
import { identifier, literal } from '../quote.js'

/*
 * Back-pressure: who writes waits while a listener has too much stored.
 *
 *   capacity ── as many as highWaterMark are stored ──► full ── at most half of that is left ──► capacity
 *
 * Between the two nothing changes, so that writers do not come and go with every batch that a worker deletes.
 */

// For how long an answer holds: at least so many milliseconds, and so many times what it took to find out.
const holdsMs = 25
const holdsWhileFullMs = 50
const holdsTimes = 10

// What waits for a retry counts as well: it stands behind what is ready, in the same index.
const look = (schema: string, listener: string, limit: number) => /* sql */ `
  select exists (select from ${schema}.listener l where l.name = ${listener}) as installed, (
      select count(*)::float8
      from (
        select from ${schema}.notification n
        where n.listener = ${listener} and (n.waiting, n.id) > (false, ${readyAbove(schema, listener)})
        order by n.waiting, n.id
        limit ${limit}
      ) s
    ) as stored
`

export interface CapacityOptions {
  readonly schema: string
  readonly pool: () => Promise<Pool>
  readonly events: Events
  readonly isDeclared: (listener: string) => boolean
}

/**
 * Whether a listener has as many stored as it may have, as this process knows it. An answer holds for a while, and for half as
 * many writes as there was room for: so a writer that is alone, and asks before each, never stores more than the mark.
 */
export class Capacity {
  readonly #options: CapacityOptions
  readonly #listener: string
  readonly #highWaterMark: number
  #full = false
  /** How many writes may go ahead before it is looked again. */
  #grants = 0
  #holdsUntil = 0
  #looking: Promise<void> | undefined

  constructor(listener: string, highWaterMark: number, options: CapacityOptions) {
    this.#options = options
    this.#listener = listener
    this.#highWaterMark = highWaterMark
  }

  /** Waits until a write, or so many at once, may go ahead. @throws the signal's reason, and as {@link observe} */
  async wait(signal: AbortSignal, writes = 1): Promise<void> {
    for (;;) {
      signal.throwIfAborted()
      const looked = this.#full || this.#grants > 0 ? this.observe() : this.#look()
      await untilAborted(looked, abortable(signal), () => signal.throwIfAborted())
      if (this.#grants > 0) {
        this.#grants = Math.max(0, this.#grants - writes)
        return
      }
      if (!this.#full) continue
      const milliseconds = Math.max(1, this.#holdsUntil - performance.now())
      await pass(milliseconds, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }

  /** Looks, unless it has just been looked. @throws PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED */
  async observe(): Promise<void> {
    if (performance.now() >= this.#holdsUntil) await this.#look()
  }

  /** However many ask, there is one look at a time. */
  #look(): Promise<void> {
    this.#looking ??= this.#lookNow().finally(() => {
      this.#looking = undefined
    })
    return this.#looking
  }

  async #lookNow(): Promise<void> {
    const { schema, pool, isDeclared } = this.#options
    const begun = performance.now()
    const mark = this.#full ? Math.floor(this.#highWaterMark / 2) + 1 : this.#highWaterMark
    const [row] = await read(await pool(), schema, look(identifier(schema), literal(this.#listener), mark))
    if (!row.installed) throw listenerNotInstalled(schema, this.#listener, isDeclared(this.#listener))
    const full = row.stored >= mark
    const now = performance.now()
    this.#holdsUntil = now + Math.max(full ? holdsWhileFullMs : holdsMs, holdsTimes * (now - begun))
    this.#grants = full ? 0 : Math.ceil((this.#highWaterMark - row.stored) / 2)
    this.#tell(full)
  }

  #tell(full: boolean): void {
    if (full === this.#full) return
    this.#full = full
    const payload = { listener: this.#listener, highWaterMark: this.#highWaterMark }
    this.#options.events.emit(full ? 'highWater' : 'capacity', payload)
  }
}
