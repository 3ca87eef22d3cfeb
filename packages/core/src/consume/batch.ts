import type { Pool } from '../database.js'
import type { Events } from '../events.js'
import type { Listener } from '../listener.js'
import { plainAttempt, transactionalAttempt } from './attempt.js'
import { BatchSize } from './batch-size.js'
import type { Claimed } from './claim.js'
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
  /** Call when {@link next} has failed: what it knew of the database may not be so. */
  forget(): void
  /** Call when no other batch is going to be claimed. */
  end(): Promise<void>
}

/** Each of these batches is one transaction that claims, runs the handlers, deletes, commits. */
export class Batches implements BatchSource {
  readonly isIdle = true
  readonly #options: BatchOptions
  readonly #intake: Intake
  readonly #settler: Settler
  readonly #size: BatchSize

  constructor(options: BatchOptions) {
    this.#options = options
    const { listener, schema, statements, pool } = options
    const { transactional, batch, batchSize, concurrency } = listener.consume
    const transactions = (transactional && listener.transactions) || poolTransactions(pool, statements.answerMs)
    this.#settler = new Settler(schema, listener, statements)
    this.#intake = new Intake(options, transactions, this.#settler)
    this.#size = new BatchSize(batch?.size ?? batchSize, batch?.size ?? concurrency)
  }

  get start(): bigint {
    return this.#intake.start
  }

  get untilRetry(): number | null {
    return this.#intake.nextRetry.until
  }

  /** Claims a batch, runs its handlers, deletes what succeeded, puts off what failed, commits. */
  async next(): Promise<BatchResult> {
    const claimed = await this.#intake.claim(this.#size.current)
    if (typeof claimed === 'string') return claimed
    try {
      return await this.#handleAll(claimed)
    } finally {
      claimed.transaction.end()
    }
  }

  forget(): void {
    this.#intake.forget()
  }

  async end(): Promise<void> {}

  async #handleAll({ transaction, notifications, waiting, more }: ClaimedBatch): Promise<BatchResult> {
    const { nextRetry } = this.#intake
    const outcome = await this.#handle(transaction, notifications)
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

  async #handle(transaction: BatchTransaction, notifications: readonly Claimed[]): Promise<Outcome> {
    const begun = performance.now()
    const { transactional } = this.#options.listener.consume
    const outcome = await (transactional
      ? this.#inside(transaction, notifications)
      : this.#beside(transaction, notifications))
    if (notifications.length >= this.#size.current) this.#size.took(performance.now() - begun)
    return outcome
  }

  /** Handlers that run while the transaction is open. */
  #beside(transaction: BatchTransaction, notifications: readonly Claimed[]): Promise<Outcome> {
    const { listener, stop } = this.#options
    const lanes = this.#lanes(notifications)
    return whileConnected(transaction, stop, (signals) =>
      dispatchUntilAborted(lanes, plainAttempt(listener), listener.consume.concurrency, signals),
    )
  }

  /** Handlers that run in the transaction: one after another, since each has a savepoint. */
  async #inside(transaction: BatchTransaction, notifications: readonly Claimed[]): Promise<Outcome> {
    const { listener, stop } = this.#options
    await transaction.query(unsetPlan(listener.consume.timeoutMs))
    const outcome = await whileConnected(transaction, stop, (signals) =>
      dispatch(this.#lanes(notifications), transactionalAttempt(listener, transaction), 1, signals),
    )
    await transaction.query(resetPlan)
    return outcome
  }

  /** A batch handler is given all at once. */
  #lanes(notifications: readonly Claimed[]): Lane[] {
    return this.#options.listener.consume.batch ? [[notifications]] : lanesByKey(notifications)
  }
}
