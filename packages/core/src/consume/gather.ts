import { setTimeout as pass } from 'node:timers/promises'
import type { Pool } from '../database.js'
import type { BatchSettings, Listener } from '../listener.js'
import { identifier } from '../quote.js'
import type { StopSignals } from './dispatch.js'
import type { Batch } from './fresh-claims.js'
import { Statement, type StatementOptions } from './statement.js'

// As many as a batch takes are looked at, and no more. The first is the oldest.
const stored = (schema: string) => /* sql */ `
  select count(*)::int as count, (extract(epoch from clock_timestamp() - min(r.created_at)) * 1000::numeric)::float8 as age
  from (
    select n.created_at from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2
    order by n.id
    limit $3
  ) r
`

/**
 * Lets the notifications of a batch handler gather: until they fill a batch, or the oldest has waited long enough. No
 * transaction is open meanwhile, nothing is claimed, and no writer is asked to notify.
 */
export class Gathering {
  readonly #listener: string
  readonly #pool: Pool
  readonly #stop: StopSignals
  readonly #settings: BatchSettings
  readonly #stored: Statement

  constructor(
    options: { listener: Listener; schema: string; pool: Pool; stop: StopSignals; statements: StatementOptions },
    settings: BatchSettings,
  ) {
    this.#listener = options.listener.definition.name
    this.#pool = options.pool
    this.#stop = options.stop
    this.#settings = settings
    this.#stored = new Statement(stored(identifier(options.schema)), options.statements)
  }

  /** Waits until a claim is due; at once where nothing is stored. */
  async filled(start: bigint): Promise<void> {
    const { size, maxWaitMs } = this.#settings
    while (maxWaitMs > 0 && !this.#stop.draining.aborted) {
      const { rows } = await this.#stored.run(this.#pool, [this.#listener, start, size])
      const { count, age } = rows[0]
      if (count === 0 || count >= size || age >= maxWaitMs) return
      await this.pause(maxWaitMs - age)
    }
  }

  /** Milliseconds by which a claim came too early for what it has found; 0: it is to be handled. */
  missing({ notifications, waiting }: Batch, now: number): number {
    const { size, maxWaitMs } = this.#settings
    const [oldest] = notifications
    if (waiting || !oldest || notifications.length >= size || this.#stop.draining.aborted) return 0
    return Math.max(0, maxWaitMs - (now - oldest.createdAt.getTime()))
  }

  /** Waits until it is worth a look: no longer than so many milliseconds, and than until the worker is stopped. */
  async pause(most: number): Promise<void> {
    const look = Math.min(Math.max(this.#settings.maxWaitMs / 8, 2), 250)
    await pass(Math.min(look, most), null, { signal: this.#stop.draining.signal }).catch(() => {})
  }
}
