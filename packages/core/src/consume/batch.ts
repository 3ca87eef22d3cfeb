import type { Pool } from '../database.js'
import type { Events } from '../events.js'
import type { Listener } from '../listener.js'
import { type Failure, plainAttempt, transactionalAttempt } from './attempt.js'
import { BatchSize } from './batch-size.js'
import type { Claimed } from './claim.js'
import { type Batch, Claims } from './claims.js'
import { dispatch, dispatchUntilAborted, type Lane, lanesByKey, type Outcome, type StopSignals } from './dispatch.js'
import { Gathering } from './gather.js'
import { type Interrupted, Interruptions, setApart } from './interrupted.js'
import { resetPlan, unsetPlan } from './plan.js'
import { report } from './report.js'
import { Settler } from './settle.js'
import { type BatchTransaction, poolTransactions, type TransactionSource } from './transaction.js'
import { whileConnected } from './while-connected.js'

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
  /** Call when no other batch is going to be claimed. */
  end(): Promise<void>
}

/** Each of these batches is one transaction that claims, runs the handlers, deletes, commits. */
export class Batches implements BatchSource {
  readonly isIdle = true
  readonly #options: BatchOptions
  readonly #transactions: TransactionSource
  readonly #claims: Claims
  readonly #interruptions: Interruptions
  readonly #settler: Settler
  readonly #size: BatchSize
  readonly #gathering: Gathering | null

  constructor(options: BatchOptions) {
    this.#options = options
    const { listener, schema, prepared, pool } = options
    const { transactional, batch, batchSize, concurrency } = listener.consume
    this.#transactions = (transactional && listener.transactions) || poolTransactions(pool)
    this.#claims = new Claims(options)
    this.#interruptions = new Interruptions(prepared)
    this.#settler = new Settler(schema, listener, prepared)
    this.#size = new BatchSize(batch?.size ?? batchSize, batch ? batch.size : concurrency)
    this.#gathering = batch && new Gathering(options, batch)
  }

  get start(): bigint {
    return this.#claims.start
  }

  get untilRetry(): number | null {
    return this.#claims.nextRetry.until
  }

  /** Claims a batch, runs its handlers, deletes what succeeded, puts off what failed, commits. */
  async next(): Promise<BatchResult> {
    await this.#gathering?.filled(this.start)
    const { transaction, paused } = await this.#claims.begin(this.#transactions)
    try {
      return await (paused ? this.#rest(transaction) : this.#work(transaction))
    } finally {
      transaction.end()
    }
  }

  async end(): Promise<void> {}

  async #rest(transaction: BatchTransaction): Promise<BatchResult> {
    await transaction.commit()
    return 'paused'
  }

  async #work(transaction: BatchTransaction): Promise<BatchResult> {
    const batch = await this.#claims.take(transaction, this.#size.current)
    if (batch.notifications.length === 0) return this.#nothing(transaction, batch)
    if (this.#gathering?.isTooEarly(batch, transaction.first.now)) return this.#again(transaction)
    const interrupted = await this.#interruptions.among(transaction, batch)
    if (interrupted.length > 0) return this.#setApart(transaction, batch, interrupted)
    return this.#all(transaction, batch)
  }

  async #nothing(transaction: BatchTransaction, { blocked }: Batch): Promise<BatchResult> {
    await this.#claims.nextRetry.refresh(transaction)
    await transaction.commit()
    return blocked ? 'blocked' : 'empty'
  }

  async #again(transaction: BatchTransaction): Promise<BatchResult> {
    await transaction.commit()
    return 'full'
  }

  /** What may have killed a worker is put off, to be handled alone; the others are claimed again without it. */
  async #setApart(
    transaction: BatchTransaction,
    { waiting }: Batch,
    interrupted: readonly Interrupted[],
  ): Promise<BatchResult> {
    const { outcome, dead } = await setApart(transaction, this.#settler, waiting, interrupted)
    this.#claims.nextRetry.unknown()
    await transaction.commit()
    this.#report(outcome, dead)
    return 'full'
  }

  async #all(transaction: BatchTransaction, { notifications, waiting, more }: Batch): Promise<BatchResult> {
    const outcome = await this.#handle(transaction, notifications)
    const place = { waiting, lease: null }
    const gone = [...outcome.done, ...outcome.discarded.map(({ notification }) => notification)]
    await this.#settler.done(transaction, place, gone)
    const { dead } = await this.#settler.failed(transaction, place, outcome.failures)
    if (!more) await this.#claims.nextRetry.refresh(transaction)
    if (outcome.failures.length > dead.length) this.#claims.nextRetry.unknown()
    await transaction.commit()
    this.#report(outcome, dead)
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

  #report(outcome: Outcome, dead: readonly Failure[]): void {
    report(this.#options.events, this.#options.listener.definition.name, outcome, dead)
  }
}
