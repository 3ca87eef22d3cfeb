import type { Pool } from '../database.js'
import type { Events } from '../events.js'
import type { Listener } from '../listener.js'
import { plainAttempt, transactionalAttempt } from './attempt.js'
import { BatchSize, fast } from './batch-size.js'
import type { Claimed, Half } from './claim.js'
import {
  dispatch,
  dispatchUntilAborted,
  goneOf,
  type Lane,
  lanesByKey,
  type Outcome,
  type StopSignals,
} from './dispatch.js'
import { type ClaimedBatch, Intake } from './intake.js'
import { resetPlan, unsetPlan } from './plan.js'
import { report } from './report.js'
import { Settler } from './settle.js'
import type { StatementOptions } from './statement.js'
import { type BatchTransaction, inTurn, poolTransactions } from './transaction.js'
import { Turn } from './turn.js'
import { whileConnected } from './while-connected.js'

export interface BatchOptions {
  readonly listener: Listener
  readonly schema: string
  readonly pool: Pool
  readonly events: Events
  readonly stop: StopSignals
  /** Milliseconds after which the claims begin at the head again. */
  readonly sweepMs: number
  readonly statements: StatementOptions
  /** Called when there is more than one claim takes. */
  readonly onMore: () => void
  /** Called when something was claimed, before its handlers run. */
  readonly onWork: () => void
}

/**
 * What a batch came to. `full`: there may be more at once; `part`: that was all; `blocked`: there is something, but every
 * row's next change is with another worker or waits for its retry; `paused`: nothing may be taken.
 */
export type BatchResult = 'full' | 'part' | 'blocked' | 'empty' | 'paused'

/** The batches of one listener in one worker. */
export interface BatchSource {
  /** Every notification that is ready has an id above this. */
  readonly start: bigint
  /** Milliseconds until the next retry is due, null where nothing waits for one. */
  readonly untilRetry: number | null
  /** No handler is running. */
  readonly isIdle: boolean
  /** Claims the next batch. */
  next(): Promise<BatchResult>
  /** Something that waits is due in so many milliseconds. */
  retryIn(milliseconds: number): void
  /** Call when {@link next} has failed: what it knew of the database may not be so. */
  forget(): void
  /** Call when no other batch is going to be claimed. */
  end(): Promise<void>
}

/** From so many notifications on, it pays to claim the next batch while one is handled. */
const worthTwo = 200

/** Each of these batches is one transaction that claims, runs the handlers, deletes, commits. */
export class Batches implements BatchSource {
  readonly isIdle = true
  readonly #options: BatchOptions
  readonly #intake: Intake
  /** For the batch that is claimed while another one is handled. */
  readonly #second: Intake
  readonly #settler: Settler
  readonly #size: BatchSize
  readonly #turn = new Turn()
  /** Whether the last batch was one of many, and quickly handled. */
  #claimsAhead = false
  /** How many batches are still to be claimed one by one, and how many after the next try that does not last. */
  #alone = 0
  #pause = 1

  constructor(options: BatchOptions) {
    this.#options = options
    const { listener, schema, statements, pool } = options
    const { transactional, batch, batchSize, concurrency } = listener.consume
    const transactions = (transactional && listener.transactions) || poolTransactions(pool, statements.answerMs)
    this.#settler = new Settler(schema, listener, statements)
    this.#intake = new Intake(options, transactions, this.#settler)
    this.#second = new Intake(options, transactions, this.#settler, this.#intake)
    this.#size = new BatchSize(batch?.size ?? batchSize, batch?.size ?? concurrency)
  }

  get start(): bigint {
    return this.#intake.start
  }

  get untilRetry(): number | null {
    return this.#intake.nextRetry.until
  }

  async next(): Promise<BatchResult> {
    if (!this.#claimsAhead || this.#alone > 0) {
      this.#alone--
      return this.#one(this.#intake, null)
    }
    return this.#inTwos()
  }

  /**
   * Batch after batch, two at a time: while the handlers of one run, the other one is settled and the next is claimed. Each
   * takes one half of the keys, so that neither is in the other's way.
   */
  async #inTwos(): Promise<BatchResult> {
    let batches = 0
    const run = async (intake: Intake, half: Half) => {
      try {
        for (; this.#claimsAhead; batches++) {
          if ((await this.#one(intake, half)) !== 'full') this.#claimsAhead = false
        }
      } catch (error) {
        this.#claimsAhead = false
        throw error
      }
    }
    const ended = await Promise.allSettled([run(this.#intake, 0), run(this.#second, 1)])
    // where the keys are few, one half may have nothing
    this.#pause = batches > 4 ? 1 : Math.min(this.#pause * 2, 64)
    this.#alone = this.#pause
    for (const end of ended) if (end.status === 'rejected') throw end.reason
    return 'full'
  }

  /** Claims a batch, runs its handlers, deletes what succeeded, puts off what failed, commits. */
  async #one(intake: Intake, half: Half): Promise<BatchResult> {
    const claimed = await intake.claim(this.#size.current, half)
    if (typeof claimed === 'string') return claimed
    try {
      return await this.#handleAll(claimed)
    } finally {
      claimed.transaction.end()
    }
  }

  retryIn(milliseconds: number): void {
    this.#intake.nextRetry.notLaterThan(milliseconds)
  }

  forget(): void {
    this.#intake.forget()
    this.#second.forget()
  }

  async end(): Promise<void> {}

  async #handleAll({ transaction, notifications, waiting, more }: ClaimedBatch): Promise<BatchResult> {
    const { nextRetry } = this.#intake
    const outcome = await this.#handle(transaction, notifications)
    this.#claimsAhead &&= more
    const place = { waiting, lease: null }
    const { dead } = await this.#settler.failed(transaction, place, outcome.failures)
    await inTurn(
      transaction,
      () => this.#settler.done(transaction, place, goneOf(outcome)),
      async () => more || nextRetry.refresh(transaction),
      () => transaction.commit(),
    )
    if (outcome.failures.length > dead.length) nextRetry.unknown()
    report(this.#options.events, this.#options.listener.definition.name, outcome, dead)
    return more ? 'full' : 'part'
  }

  #handle(transaction: BatchTransaction, notifications: readonly Claimed[]): Promise<Outcome> {
    const { transactional } = this.#options.listener.consume
    const handle = transactional ? this.#inside : this.#beside
    return whileConnected(transaction, this.#options.stop, (stop) =>
      this.#turn.take(stop.draining, async () => {
        const begun = performance.now()
        const outcome = await handle.call(this, transaction, notifications, stop)
        this.#took(transaction, notifications.length, performance.now() - begun)
        return outcome
      }),
    )
  }

  #took({ pipelined }: BatchTransaction, count: number, milliseconds: number): void {
    if (count >= this.#size.current) this.#size.took(milliseconds)
    const { transactional, batch } = this.#options.listener.consume
    this.#claimsAhead = pipelined && !transactional && !batch && count >= worthTwo && milliseconds < fast
  }

  /** Handlers that run while the transaction is open. */
  #beside(_: BatchTransaction, notifications: readonly Claimed[], stop: StopSignals): Promise<Outcome> {
    const { listener } = this.#options
    return dispatchUntilAborted(this.#lanes(notifications), plainAttempt(listener), listener.consume.concurrency, stop)
  }

  /** Handlers that run in the transaction: one after another, since each has a savepoint. */
  async #inside(transaction: BatchTransaction, notifications: readonly Claimed[], stop: StopSignals): Promise<Outcome> {
    const { listener } = this.#options
    await transaction.query(unsetPlan(listener.consume.timeoutMs))
    const outcome = await dispatch(this.#lanes(notifications), transactionalAttempt(listener, transaction), 1, stop)
    await transaction.query(resetPlan)
    return outcome
  }

  /** A batch handler is given all at once. */
  #lanes(notifications: readonly Claimed[]): Lane[] {
    return this.#options.listener.consume.batch ? [[notifications]] : lanesByKey(notifications)
  }
}
