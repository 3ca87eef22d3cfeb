import type { Connection, Pool, ResultRow } from '../database.js'
import type { Events } from '../events.js'
import type { Listener } from '../listener.js'
import { identifier } from '../quote.js'
import { BatchSize } from './batch-size.js'
import { type Claimed, Claimer, claimPlan } from './claim.js'
import { dispatch, type Failure, type Outcome, type StopSignals } from './dispatch.js'
import { NextRetry } from './next-retry.js'
import { isPaused } from './pause.js'
import { Position } from './position.js'
import { Settler } from './settle.js'
import { Statement } from './statement.js'
import { whileConnected } from './while-connected.js'
import { currentWriters } from './writers.js'

export interface BatchOptions {
  readonly listener: Listener
  readonly schema: string
  readonly pool: Pool
  readonly events: Events
  readonly stop: StopSignals
  /** Milliseconds after which the claims begin at the head again. */
  readonly sweepMs: number
  /** Whether connections keep statements. */
  readonly prepared: boolean
  /** Called when there is more than one claim takes. */
  readonly onMore: () => void
}

/**
 * What a batch came to. `full`: there may be more at once; `part`: that was all; `blocked`: there is something, but every
 * row's next change is with another worker or waits for its retry; `paused`: nothing may be taken.
 */
export type BatchResult = 'full' | 'part' | 'blocked' | 'empty' | 'paused'

/** What a transaction has claimed: fresh notifications, or ones that waited for their retry; never both. */
interface Batch {
  readonly notifications: readonly Claimed[]
  readonly waiting: boolean
  /** There may be more that can be taken. */
  readonly more: boolean
  /** There is more that cannot be taken. */
  readonly blocked: boolean
}

// The snapshot tells which transactions were running before the claim looked; see Position. Serializable would make
// claims of two workers fail each other, so the isolation level does not depend on the database's default.
// Nor may a slow handler be taken for a forgotten transaction; servers before 17 have no transaction_timeout.
const begin = (schema: string, listener: string) => /* sql */ `begin isolation level read committed; ${claimPlan};
  set local idle_in_transaction_session_timeout = 0;
  select set_config('transaction_timeout', '0', true) where current_setting('transaction_timeout', true) is not null;
  select pg_snapshot_xmin(s)::text as oldest, pg_snapshot_xmax(s)::text as next, ${isPaused(schema, listener)} as paused
  from pg_current_snapshot() s`

// A look at the locks costs about as much as a claim of a few rows, so it is not taken before each.
const lookMs = 20

const ignore = () => {}

/** The batches of one listener in one worker: each is one transaction that claims, runs the handlers, deletes, commits. */
export class Batches {
  readonly #options: BatchOptions
  readonly #claimer: Claimer
  readonly #settler: Settler
  readonly #position = new Position()
  readonly #size: BatchSize
  readonly #nextRetry: NextRetry
  readonly #currentWriters: Statement
  readonly #beginSql: string
  #nextSweepAt = 0
  #nextLookAt = 0

  constructor(options: BatchOptions) {
    this.#options = options
    const { listener, schema, prepared } = options
    const { name, order } = listener.definition
    this.#beginSql = begin(identifier(schema), name)
    this.#claimer = new Claimer(schema, name, order, prepared)
    this.#settler = new Settler(schema, listener, prepared)
    this.#size = new BatchSize(listener.consume.batchSize, listener.consume.concurrency)
    this.#nextRetry = new NextRetry(schema, name, prepared)
    this.#currentWriters = new Statement(currentWriters(schema), prepared)
  }

  /** Every notification that is ready has an id above this. */
  get start(): bigint {
    return this.#position.start
  }

  /** Milliseconds until the next retry is due, null where nothing waits for one. */
  get untilRetry(): number | null {
    return this.#nextRetry.until
  }

  /** Claims a batch, runs its handlers, deletes what succeeded, puts off what failed, commits. */
  async next(): Promise<BatchResult> {
    const connection = await this.#options.pool.connect()
    connection.on('error', ignore) // lost: the next statement reports it
    let broken = true
    try {
      const { paused } = await this.#begin(connection)
      const result = await (paused ? this.#rest(connection) : this.#work(connection))
      broken = false
      return result
    } finally {
      // one that is closed may still be told why it was lost
      if (!broken) connection.removeListener('error', ignore)
      connection.release(broken)
    }
  }

  async #work(connection: Connection): Promise<BatchResult> {
    const batch = await this.#claim(connection)
    return batch.notifications.length > 0 ? this.#all(connection, batch) : this.#nothing(connection, batch)
  }

  async #rest(connection: Connection): Promise<BatchResult> {
    await connection.query('commit')
    return 'paused'
  }

  async #begin(connection: Connection): Promise<{ paused: boolean }> {
    const results = (await connection.query(this.#beginSql)) as unknown as { rows: ResultRow[] }[]
    const snapshot = results.at(-1)?.rows[0]
    this.#position.observe({ oldest: BigInt(snapshot.oldest), next: BigInt(snapshot.next) })
    if (this.#position.isHeldBack) await this.#lookAtWriters(connection)
    const { paused } = snapshot
    if (paused || Date.now() < this.#nextSweepAt) return { paused }
    this.#nextSweepAt = Date.now() + this.#options.sweepMs
    this.#position.sweep()
    await this.#nextRetry.refresh(connection)
    return { paused }
  }

  async #lookAtWriters(connection: Connection): Promise<void> {
    if (Date.now() < this.#nextLookAt) return
    this.#nextLookAt = Date.now() + lookMs
    const { rows } = await this.#currentWriters.run(connection, [])
    this.#position.observeWriters(new Set(rows.map((row) => row.virtualtransaction as string)))
  }

  async #nothing(connection: Connection, { blocked }: Batch): Promise<BatchResult> {
    await this.#nextRetry.refresh(connection)
    await connection.query('commit')
    return blocked ? 'blocked' : 'empty'
  }

  async #all(connection: Connection, { notifications, waiting, more }: Batch): Promise<BatchResult> {
    const outcome = await this.#handle(connection, notifications)
    const gone = [...outcome.done, ...outcome.discarded.map(({ notification }) => notification)]
    await this.#settler.done(connection, waiting, gone)
    const dead = await this.#settler.failed(connection, waiting, outcome.failures)
    if (!more) await this.#nextRetry.refresh(connection)
    if (outcome.failures.length > dead.length) this.#nextRetry.unknown()
    await connection.query('commit')
    this.#report(outcome, dead)
    return more ? 'full' : 'part'
  }

  async #claim(connection: Connection): Promise<Batch> {
    if (!this.#nextRetry.isDue) return this.#claimFresh(connection)
    const due = await this.#claimer.due(connection, this.#size.current)
    if (due.length > 0) return { notifications: due, waiting: true, more: true, blocked: false }
    await this.#nextRetry.refresh(connection)
    if (!this.#nextRetry.isDue) return this.#claimFresh(connection)
    // it is with another worker: it is asked for again, but not before every claim
    this.#nextRetry.notBefore(50)
    return { ...(await this.#claimFresh(connection)), blocked: true }
  }

  async #claimFresh(connection: Connection): Promise<Batch> {
    const limit = this.#size.current
    const { start } = this.#position
    const blockedKeys: string[] = []
    for (let above = start; ; ) {
      const claim = await this.#claimer.fresh(connection, above, limit, blockedKeys)
      if (above === start && claim.lowestId !== null) this.#position.saw(claim.lowestId)
      const notifications =
        above === start ? claim.claimed : await this.#claimer.withoutOvertaking(connection, start, above, claim.claimed)
      if (claim.full && notifications.length > 0) this.#options.onMore()
      if (!claim.full || notifications.length > 0) {
        const blocked = above > start || claim.lowestId !== null
        return { notifications, waiting: false, more: claim.full, blocked }
      }
      blockedKeys.push(...claim.blockedKeys)
      above = claim.highestId as bigint
    }
  }

  async #handle(connection: Connection, notifications: readonly Claimed[]): Promise<Outcome> {
    const begun = performance.now()
    const { listener, stop } = this.#options
    const outcome = await whileConnected(connection, stop, (signals) => dispatch(listener, notifications, signals))
    if (notifications.length >= this.#size.current) this.#size.took(performance.now() - begun)
    return outcome
  }

  #report({ done, discarded, failures }: Outcome, dead: readonly Failure[]): void {
    const { events } = this.#options
    const listener = this.#options.listener.definition.name
    for (const { id, attempts } of done) events.emit('handled', { listener, id, attempt: attempts + 1 })
    for (const { notification, error } of discarded) {
      const { id, attempts } = notification
      events.emit('discarded', { listener, id, attempt: attempts + 1, error })
    }
    for (const failure of failures) {
      const { id, attempts } = failure.notification
      events.emit('failed', { listener, id, attempt: attempts + 1, error: failure.error, dead: dead.includes(failure) })
    }
  }
}
