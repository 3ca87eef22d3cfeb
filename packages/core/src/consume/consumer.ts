import type { Connection, Pool, ResultRow } from '../database.js'
import type { Events } from '../events.js'
import type { Listener } from '../listener.js'
import { reconnectBackoff } from './backoff.js'
import { BatchSize } from './batch-size.js'
import { type Claimed, Claimer, claimPlan } from './claim.js'
import { dispatch, type Outcome, type StopSignals } from './dispatch.js'
import { untilNextRetry } from './next-retry.js'
import { Position } from './position.js'
import { type Failure, Settler } from './settle.js'
import { Signal } from './signal.js'
import type { Asleep, WakeLine, Writers } from './wake.js'

export interface ConsumerOptions {
  readonly listener: Listener
  readonly schema: string
  readonly pool: Pool
  readonly line: WakeLine
  readonly events: Events
  readonly stop: StopSignals
  /** Milliseconds after which a sleeping worker looks by itself. */
  readonly pollMs: number
}

/** What a transaction has claimed: fresh notifications, or ones that waited for their retry; never both. */
interface Batch {
  readonly notifications: readonly Claimed[]
  readonly waiting: boolean
  /** There is more, but every row's next change is with another worker. */
  readonly blocked: boolean
}

/** What a batch came to: `blocked` means that there is something, but every row's next change is with another worker. */
type BatchResult = 'some' | 'blocked' | 'empty'

// The snapshot tells which transactions were running before the claim looked; see Position. Serializable would make
// claims of two workers fail each other, so the isolation level does not depend on the database's default.
// Nor may a slow handler be taken for a forgotten transaction.
const begin = /* sql */ `begin isolation level read committed; ${claimPlan};
  set local idle_in_transaction_session_timeout = 0;
  select pg_snapshot_xmin(s)::text as oldest, pg_snapshot_xmax(s)::text as next from pg_current_snapshot() s`

const ignore = () => {}

/** Consumes the notifications of one listener in one worker: claim, dispatch, delete, commit, until it is stopped. */
export class Consumer {
  readonly #options: ConsumerOptions
  readonly #signal = new Signal()
  readonly #claimer: Claimer
  readonly #settler: Settler
  readonly #position = new Position()
  readonly #batchSize: BatchSize
  #nextRetryAt: number | null = 0
  #nextSweepAt = 0
  #blockedRounds = 0
  /** Something was handled since `drained` was last told. */
  #handledSome = false

  constructor(options: ConsumerOptions) {
    this.#options = options
    const { definition, consume } = options.listener
    this.#claimer = new Claimer(options.schema, definition.name, definition.order)
    this.#settler = new Settler(options.schema, options.listener)
    this.#batchSize = new BatchSize(consume.batchSize, consume.concurrency)
    options.line.wakes(definition.name, this.#signal)
    options.stop.draining.addEventListener('abort', () => this.#signal.set(), { once: true })
  }

  get #name(): string {
    return this.#options.listener.definition.name
  }

  get #stopping(): boolean {
    return this.#options.stop.draining.aborted
  }

  /** Runs until stopped. Errors of the database are reported, and tried again after a growing while. */
  async run(): Promise<void> {
    for (let failures = 0; !this.#stopping; ) {
      try {
        await this.#drain()
        failures = 0
        if (!this.#stopping) await this.#sleep()
      } catch (error) {
        this.#options.events.emit('error', { error, listener: this.#name })
        if (!this.#stopping) await this.#signal.wait(reconnectBackoff(++failures))
      }
    }
    // what goes back, and what waits for its retry, others may not know of
    await this.#wakeOthers()
  }

  async #drain(): Promise<void> {
    while (!this.#stopping) {
      this.#signal.clear()
      const result = await this.#batch()
      if (result !== 'some') break
    }
    if (!this.#handledSome || this.#stopping) return
    this.#handledSome = false
    this.#options.events.emit('drained', { listener: this.#name })
  }

  async #sleep(): Promise<void> {
    const asleep = this.#sleepsByNotify ? await this.#options.line.fallAsleep(this.#name) : null
    if (!asleep) return this.#signal.wait(this.#timeToSleep())
    try {
      if (await this.#nothingLeft(asleep)) await this.#signal.wait(this.#timeToSleep())
    } finally {
      // not awaited: the first claim need not wait for it
      void this.#inBackground(() => asleep.wakeUp())
    }
  }

  get #sleepsByNotify(): boolean {
    return this.#options.listener.definition.wake === 'idle'
  }

  /** Claims until no writer is left that may not have seen us fall asleep. False as soon as there is work. */
  async #nothingLeft(asleep: Asleep): Promise<boolean> {
    let writers: Writers = asleep.writers
    for (let pause = 1; !this.#stopping; pause = Math.min(pause * 2, 50)) {
      const none = writers.size === 0
      this.#signal.clear()
      if ((await this.#batch()) === 'some') return false
      if (none) return true
      await this.#signal.wait(pause)
      writers = await asleep.stillWriting(writers)
    }
    return false
  }

  /** Until the slow poll, the next retry, or, where others hold what there is, soon: they may die with it. */
  #timeToSleep(): number {
    const { pollMs } = this.#options
    const untilRetry = this.#nextRetryAt === null ? pollMs : Math.max(0, this.#nextRetryAt - Date.now())
    if (this.#blockedRounds === 0) return Math.min(pollMs, untilRetry)
    const untilUnblocked = 20 * 2 ** Math.min(this.#blockedRounds, 5)
    // a retry that is due and was not claimed is with another worker too
    return Math.min(pollMs, untilRetry || pollMs, untilUnblocked)
  }

  /** One transaction: claim, run the handlers, delete what succeeded, put off what failed, commit. */
  async #batch(): Promise<BatchResult> {
    const connection = await this.#options.pool.connect()
    connection.on('error', ignore) // lost while the handlers run: the next statement reports it
    let broken = true
    try {
      await this.#begin(connection)
      const batch = await this.#claim(connection)
      if (batch.notifications.length === 0) {
        await this.#refreshNextRetry(connection)
        await connection.query('commit')
        broken = false
        this.#blockedRounds = batch.blocked ? this.#blockedRounds + 1 : 0
        return batch.blocked ? 'blocked' : 'empty'
      }
      this.#blockedRounds = 0
      const outcome = await this.#handle(batch.notifications)
      const dead = await this.#settle(connection, batch.waiting, outcome)
      await connection.query('commit')
      broken = false
      this.#handledSome = true // also by a claim made while falling asleep
      this.#report(outcome, dead)
      return 'some'
    } finally {
      connection.removeListener('error', ignore)
      connection.release(broken)
    }
  }

  async #begin(connection: Connection): Promise<void> {
    const results = (await connection.query(begin)) as unknown as { rows: ResultRow[] }[]
    const snapshot = results.at(-1)?.rows[0]
    this.#position.observe(BigInt(snapshot.oldest), BigInt(snapshot.next))
    if (Date.now() < this.#nextSweepAt) return
    this.#nextSweepAt = Date.now() + this.#options.pollMs
    this.#position.sweep()
    await this.#refreshNextRetry(connection)
  }

  async #claim(connection: Connection): Promise<Batch> {
    if (this.#nextRetryAt !== null && this.#nextRetryAt <= Date.now()) {
      const due = await this.#claimer.due(connection, this.#batchSize.current)
      if (due.length > 0) return { notifications: due, waiting: true, blocked: false }
      await this.#refreshNextRetry(connection)
      if (this.#nextRetryAt <= Date.now()) return this.#claimBesides(connection)
    }
    return this.#claimFresh(connection)
  }

  /** A retry that is due is with another worker: it is asked for again, but not before every claim. */
  async #claimBesides(connection: Connection): Promise<Batch> {
    this.#nextRetryAt = Date.now() + 50
    return { ...(await this.#claimFresh(connection)), blocked: true }
  }

  async #claimFresh(connection: Connection): Promise<Batch> {
    const limit = this.#batchSize.current
    const { start } = this.#position
    const blocked: string[] = []
    for (let above = start; ; ) {
      const claim = await this.#claimer.fresh(connection, above, limit, blocked)
      if (above === start && claim.lowestId !== null) this.#position.saw(claim.lowestId)
      const notifications =
        above === start ? claim.claimed : await this.#claimer.withoutOvertaking(connection, start, above, claim.claimed)
      if (claim.full && notifications.length > 0) void this.#wakeOthers()
      if (!claim.full || notifications.length > 0) {
        return { notifications, waiting: false, blocked: above > start || claim.lowestId !== null }
      }
      blocked.push(...claim.blockedKeys)
      above = claim.highestId as bigint
    }
  }

  #wakeOthers(): Promise<void> {
    return this.#inBackground(() => this.#options.line.wakeOthers(this.#name))
  }

  async #inBackground(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#options.events.emit('error', { error, listener: this.#name })
    }
  }

  async #handle(batch: readonly Claimed[]): Promise<Outcome> {
    const begun = performance.now()
    const outcome = await dispatch(this.#options.listener, batch, this.#options.stop)
    if (batch.length >= this.#batchSize.current) this.#batchSize.took(performance.now() - begun)
    return outcome
  }

  async #settle(connection: Connection, waiting: boolean, { done, failures }: Outcome): Promise<Failure[]> {
    await this.#settler.done(connection, waiting, done)
    const dead = await this.#settler.failed(connection, waiting, failures)
    if (failures.length > dead.length) this.#nextRetryAt = 0 // when exactly is looked up once it is asked for
    return dead
  }

  async #refreshNextRetry(connection: Connection): Promise<void> {
    const { schema } = this.#options
    const milliseconds = await untilNextRetry(connection, schema, this.#name)
    this.#nextRetryAt = milliseconds === null ? null : Date.now() + milliseconds
  }

  #report({ done, failures }: Outcome, dead: readonly Failure[]): void {
    const { events } = this.#options
    const listener = this.#name
    for (const { id, attempts } of done) events.emit('handled', { listener, id, attempt: attempts + 1 })
    for (const failure of failures) {
      const { id, attempts } = failure.notification
      events.emit('failed', { listener, id, attempt: attempts + 1, error: failure.error, dead: dead.includes(failure) })
    }
  }
}
