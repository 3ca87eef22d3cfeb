import type { Connection, Pool, ResultRow } from '../database.js'
import type { Events } from '../events.js'
import type { Listener } from '../listener.js'
import { reconnectBackoff } from './backoff.js'
import { BatchSize } from './batch-size.js'
import { type Claimed, Claimer } from './claim.js'
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

/** What a batch came to: `blocked` means that there is something, but every row's next change is with another worker. */
type BatchResult = 'some' | 'blocked' | 'empty'

// The snapshot tells which transactions were running before the claim looked; see Position. Serializable would make
// claims of two workers fail each other, so the isolation level does not depend on the database's default.
const begin = /* sql */ `begin isolation level read committed;
  select pg_snapshot_xmin(s)::text as oldest, pg_snapshot_xmax(s)::text as next from pg_current_snapshot() s`

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

  constructor(options: ConsumerOptions) {
    this.#options = options
    const { definition, consume } = options.listener
    this.#claimer = new Claimer(options.schema, definition.name, definition.order)
    this.#settler = new Settler(options.schema, consume)
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
  }

  async #drain(): Promise<void> {
    let handled = false
    while (!this.#stopping) {
      this.#signal.clear()
      const result = await this.#batch()
      if (result !== 'some') break
      handled = true
    }
    if (handled && !this.#stopping) this.#options.events.emit('drained', { listener: this.#name })
  }

  async #sleep(): Promise<void> {
    const asleep = this.#sleepsByNotify ? await this.#options.line.fallAsleep(this.#name) : null
    if (!asleep) return this.#signal.wait(this.#timeToSleep())
    try {
      if (await this.#nothingLeft(asleep)) await this.#signal.wait(this.#timeToSleep())
    } finally {
      await asleep.wakeUp()
    }
  }

  get #sleepsByNotify(): boolean {
    return this.#options.listener.definition.wake === 'idle'
  }

  /** Claims until no writer is left that may not have seen us fall asleep. False as soon as there is work. */
  async #nothingLeft(asleep: Asleep): Promise<boolean> {
    let writers: Writers = asleep.writers
    for (let pause = 1; ; pause = Math.min(pause * 2, 50)) {
      const none = writers.size === 0
      if ((await this.#batch()) === 'some') return false
      if (none || this.#stopping) return true
      await this.#signal.wait(pause)
      writers = await asleep.stillWriting(writers)
    }
  }

  /** Until the slow poll, the next retry, or, where others hold what there is, soon: they may die with it. */
  #timeToSleep(): number {
    const { pollMs } = this.#options
    const untilRetry = this.#nextRetryAt === null ? pollMs : Math.max(0, this.#nextRetryAt - Date.now())
    const untilUnblocked = this.#blockedRounds === 0 ? pollMs : 20 * 2 ** Math.min(this.#blockedRounds, 5)
    return Math.min(pollMs, untilRetry, untilUnblocked)
  }

  /** One transaction: claim, run the handlers, delete what succeeded, put off what failed, commit. */
  async #batch(): Promise<BatchResult> {
    const connection = await this.#options.pool.connect()
    let broken = true
    try {
      await this.#begin(connection)
      const { batch, blocked } = await this.#claim(connection)
      if (batch.length === 0) {
        await this.#refreshNextRetry(connection)
        await connection.query('commit')
        broken = false
        this.#blockedRounds = blocked ? this.#blockedRounds + 1 : 0
        return blocked ? 'blocked' : 'empty'
      }
      this.#blockedRounds = 0
      const outcome = await this.#handle(batch)
      const dead = await this.#settle(connection, outcome)
      await connection.query('commit')
      broken = false
      this.#report(outcome, dead)
      return 'some'
    } finally {
      connection.release(broken)
    }
  }

  async #begin(connection: Connection): Promise<void> {
    const results = (await connection.query(begin)) as unknown as { rows: ResultRow[] }[]
    const snapshot = results[1]?.rows[0]
    this.#position.observe(BigInt(snapshot.oldest), BigInt(snapshot.next))
    if (Date.now() < this.#nextSweepAt) return
    this.#nextSweepAt = Date.now() + this.#options.pollMs
    this.#position.sweep()
    await this.#refreshNextRetry(connection)
  }

  async #claim(connection: Connection): Promise<{ batch: readonly Claimed[]; blocked: boolean }> {
    if (this.#nextRetryAt !== null && this.#nextRetryAt <= Date.now()) {
      const due = await this.#claimer.due(connection, this.#batchSize.current)
      if (due.length > 0) return { batch: due, blocked: false }
      await this.#refreshNextRetry(connection)
    }
    return this.#claimFresh(connection)
  }

  async #claimFresh(connection: Connection): Promise<{ batch: readonly Claimed[]; blocked: boolean }> {
    const limit = this.#batchSize.current
    const blocked: string[] = []
    for (let above = this.#position.start; ; ) {
      const claim = await this.#claimer.fresh(connection, above, limit, blocked)
      if (above === this.#position.start && claim.lowestId !== null) this.#position.saw(claim.lowestId)
      blocked.push(...claim.blockedKeys)
      if (claim.full && claim.claimed.length > 0) this.#wakeOthers()
      if (!claim.full || claim.claimed.length > 0) return { batch: claim.claimed, blocked: blocked.length > 0 }
      above = claim.highestId as bigint
    }
  }

  #wakeOthers(): void {
    this.#options.line
      .wakeOthers(this.#name)
      .catch((error: unknown) => this.#options.events.emit('error', { error, listener: this.#name }))
  }

  async #handle(batch: readonly Claimed[]): Promise<Outcome> {
    const begun = performance.now()
    const outcome = await dispatch(this.#options.listener, batch, this.#options.stop)
    if (batch.length >= this.#batchSize.current) this.#batchSize.took(performance.now() - begun)
    return outcome
  }

  async #settle(connection: Connection, { done, failures }: Outcome): Promise<Failure[]> {
    await this.#settler.done(connection, done)
    const dead = await this.#settler.failed(connection, failures)
    if (failures.length > dead.length) this.#nextRetryAt = 0 // when exactly is looked up once it is asked for
    const unblocked = [...done, ...dead.map(({ notification }) => notification)].filter(({ attempts }) => attempts > 0)
    for (const { id } of unblocked) this.#position.rewind(id)
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
