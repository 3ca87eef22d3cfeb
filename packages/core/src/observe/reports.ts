import { randomUUID } from 'node:crypto'
import { setTimeout as pass } from 'node:timers/promises'
import type { Queryable } from '../database.js'
import type { Events } from '../events.js'
import { runOutsideScopes } from '../publish/context.js'
import { identifier } from '../quote.js'
import { Rate } from './rate.js'

/** A worker that reports any less often than this is not there any more: `status()` leaves it out. */
export const freshSeconds = 15

const everyMs = 2_000

// How long a worker that stops waits for its rows to be removed. What is left behind is swept by others.
const farewellMs = 1_000

// Rows whose process died are swept by whoever writes next. Those that someone else is at are left to them.
const write = (schema: string) => /* sql */ `
  with swept as (
    delete from ${schema}.worker w
    where (w.id, w.listener) in (
      select o.id, o.listener from ${schema}.worker o
      where o.id <> $1 and o.reported_at < clock_timestamp() - interval '1 hour'
      for update skip locked
    )
  )
  insert into ${schema}.worker (id, listener, rate, ready_above)
  select $1, r.* from unnest($2::text[], $3::float8[], $4::bigint[]) r
  on conflict (id, listener) do update
  set rate = excluded.rate, ready_above = excluded.ready_above, reported_at = clock_timestamp()
`

const remove = (schema: string) => /* sql */ `
  delete from ${schema}.worker where id = $1 and listener = any ($2::text[])
`

/** A listener as one worker consumes it. */
export interface Reported {
  readonly listener: string
  /** Every ready notification has an id above this. */
  readonly readyAbove: () => bigint
}

interface Entry {
  readonly rate: Rate
  readonly workers: Set<Reported>
  readyAbove: bigint
  /** What the database has of it; undefined where it has no row. */
  written: { readonly rate: number; readonly readyAbove: bigint } | undefined
}

export interface ReportsOptions {
  readonly schema: string
  readonly pool: Queryable
  readonly events: Events
  /** Called with each report, for every listener that is consumed here. */
  readonly onReport: (listener: string) => Promise<void>
}

/**
 * What the workers of this process tell the database of themselves, each listener in one row: written every two seconds while
 * something changes, removed when the last of them stops. Nothing waits for it, and where it fails an `error` event says so.
 */
export class Reports {
  readonly #options: ReportsOptions
  readonly #id = randomUUID()
  readonly #entries = new Map<string, Entry>()
  readonly #sql: { readonly write: string; readonly remove: string }
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()
  #busy = false

  constructor(options: ReportsOptions) {
    this.#options = options
    const schema = identifier(options.schema)
    this.#sql = { write: write(schema), remove: remove(schema) }
    const count = ({ listener }: { listener: string }) => this.#entries.get(listener)?.rate.count()
    options.events.on('handled', count)
    options.events.on('discarded', count)
  }

  /** Reports for a worker. @returns what ends that, and removes the rows that nobody else here has a part in. */
  join(reported: readonly Reported[]): () => Promise<void> {
    for (const one of reported) this.#entry(one.listener).workers.add(one)
    this.#timer ??= setInterval(() => this.#next(), everyMs).unref()
    return () => this.#leave(reported)
  }

  #entry(listener: string): Entry {
    const known = this.#entries.get(listener)
    if (known) return known
    const entry: Entry = { rate: new Rate(performance.now()), workers: new Set(), readyAbove: 0n, written: undefined }
    this.#entries.set(listener, entry)
    return entry
  }

  async #leave(reported: readonly Reported[]): Promise<void> {
    const written: string[] = []
    for (const one of reported) {
      const entry = this.#entries.get(one.listener)
      if (!entry?.workers.delete(one) || entry.workers.size > 0) continue
      this.#entries.delete(one.listener)
      if (entry.written) written.push(one.listener)
    }
    if (this.#entries.size === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
    if (written.length === 0) return
    const done = new AbortController()
    const removed = this.#after(() => this.#query(this.#sql.remove, [this.#id, written])).finally(() => done.abort())
    await Promise.race([removed, pass(farewellMs, undefined, { signal: done.signal }).catch(() => {})])
  }

  /** One report at a time: what takes longer than until the next lets that one go. */
  #next(): void {
    if (this.#busy) return
    this.#busy = true
    void this.#after(() => this.#report()).finally(() => {
      this.#busy = false
    })
  }

  /** Runs behind what runs already; errors are told, and thrown to nobody. */
  #after(work: () => Promise<void>): Promise<void> {
    const run = this.#running.then(work).catch((error: unknown) => this.#options.events.emit('error', { error }))
    this.#running = run
    return run
  }

  async #report(): Promise<void> {
    const now = performance.now()
    const changed = [...this.#entries]
      .map(([listener, entry]) => ({ listener, entry, ...stateOf(entry, now) }))
      .filter(isNews)
    // until it is known to be written, it is news again
    for (const { entry, readyAbove } of changed) entry.written = { rate: Number.NaN, readyAbove }
    if (changed.length > 0) {
      const columns = [
        changed.map((row) => row.listener),
        changed.map((row) => row.rate),
        changed.map((row) => row.readyAbove),
      ]
      await this.#query(this.#sql.write, [this.#id, ...columns])
    }
    for (const { entry, rate, readyAbove } of changed) entry.written = { rate, readyAbove }
    for (const listener of this.#entries.keys()) await this.#options.onReport(listener)
  }

  async #query(text: string, values: unknown[]): Promise<void> {
    await runOutsideScopes(() => this.#options.pool.query(text, values))
  }
}

function stateOf(entry: Entry, now: number) {
  // a worker that looks over everything again begins at 0
  for (const { readyAbove } of entry.workers) {
    const above = readyAbove()
    if (above > entry.readyAbove) entry.readyAbove = above
  }
  return { rate: entry.rate.perSecond(now), readyAbove: entry.readyAbove }
}

/** A rate that is not 0 is repeated: what is not repeated is taken for that of a process that died. */
function isNews({ entry: { written }, rate, readyAbove }: { entry: Entry; rate: number; readyAbove: bigint }): boolean {
  return rate !== 0 || rate !== (written?.rate ?? 0) || readyAbove !== (written?.readyAbove ?? 0n)
}
