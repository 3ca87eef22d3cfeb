import { plainAttempt, transactionalAttempt } from './attempt.js'
import type { BatchOptions, BatchResult } from './batch.js'
import { type BatchSize, fast } from './batch-size.js'
import type { Claimed } from './claim.js'
import type { Half } from './claim-parts.js'
import {
  dispatch,
  dispatchUntilAborted,
  goneOf,
  type Lane,
  lanesByKey,
  type Outcome,
  type StopSignals,
} from './dispatch.js'
import type { ClaimedBatch, Intake } from './intake.js'
import { resetPlan, unsetPlan } from './plan.js'
import { report } from './report.js'
import type { Settler } from './settle.js'
import { type BatchTransaction, inTurn } from './transaction.js'
import type { Turn } from './turn.js'
import { whileConnected } from './while-connected.js'

/** What the two series of a worker have in common. */
export interface SeriesOptions {
  readonly settler: Settler
  readonly size: BatchSize
  /** Handlers of one batch run at a time. */
  readonly turn: Turn
}

/** From so many notifications on, it pays to claim the next batch while one is handled. */
const worthTwo = 200

/**
 * Batches that come one after another. Where the connection is pipelined, the next claim is sent right behind the commit
 * of the batch before: a batch is one round trip.
 */
export class BatchSeries {
  readonly #options: BatchOptions
  readonly #intake: Intake
  readonly #settler: Settler
  readonly #size: BatchSize
  readonly #turn: Turn
  /** What was claimed behind the batch before. */
  #next: Promise<ClaimedBatch | BatchResult> | null = null
  #isWorthTwo = false
  #lastCount = 0

  constructor(options: BatchOptions, intake: Intake, { settler, size, turn }: SeriesOptions) {
    this.#options = options
    this.#intake = intake
    this.#settler = settler
    this.#size = size
    this.#turn = turn
  }

  /** The next claim may have to wait. */
  get #gathers(): boolean {
    return this.#options.listener.consume.batch !== null
  }

  /** Whether a batch has been claimed already. */
  get hasNext(): boolean {
    return this.#next !== null
  }

  get lastCount(): number {
    return this.#lastCount
  }

  /** Whether the last batch was one of many, and quickly handled. */
  get isWorthTwo(): boolean {
    return this.#isWorthTwo
  }

  /**
   * Claims a batch, runs its handlers, deletes what succeeded, puts off what failed, commits.
   * @param goesOn whether there is to be another batch behind this one, if there is more
   */
  async next(half: Half, goesOn: () => boolean): Promise<BatchResult> {
    const next = this.#next ?? this.#intake.claim(this.#size.current, half)
    this.#next = null
    const claimed = await next
    if (typeof claimed === 'string') return claimed
    try {
      await this.#handleAll(claimed, half, goesOn)
      return claimed.more ? 'full' : 'part'
    } finally {
      claimed.transaction.end()
    }
  }

  /** Makes up the next claim. @returns a function that sends it, to be called in any case; null where that cannot be */
  prepare(): (() => void) | null {
    const send = this.#intake.holdBack()
    if (!send) return null
    const next = this.#intake.claim(this.#size.current)
    this.#next = next
    let isSent = false
    next.catch(() => {
      // its connection was lost in the meantime: it is made up anew on another one
      if (!isSent && this.#next === next) this.#next = null
    })
    return () => {
      isSent = true
      send()
    }
  }

  /** Call when a batch has failed. */
  forget(): void {
    this.#intake.forget()
    void this.end()
  }

  /** Gives back what was claimed already. It is committed: what a transaction that is aborted held has killed its worker. */
  async end(): Promise<void> {
    const next = this.#next
    this.#next = null
    try {
      const claimed = await next
      if (claimed === null || typeof claimed === 'string') return
      await claimed.transaction.commit().finally(() => claimed.transaction.end())
    } catch {
      // the connection is lost, and what was claimed is free
    }
  }

  #claimBehind(transaction: BatchTransaction, half: Half): void {
    this.#next = this.#intake.claim(this.#size.current, half, transaction)
    this.#next.catch(() => {}) // whoever takes it is told
  }

  async #handleAll(claimed: ClaimedBatch, half: Half, goesOn: () => boolean): Promise<void> {
    const { transaction, notifications, waiting, more } = claimed
    const { nextRetry } = this.#intake
    this.#lastCount = notifications.length
    const outcome = await this.#handle(transaction, notifications)
    const place = { waiting, lease: null }
    const { dead } = await this.#settler.failed(transaction, place, outcome.failures)
    const next = more && transaction.pipelined && this.#options.allowance?.left !== 0 && goesOn()
    const settled = inTurn(
      transaction,
      () => this.#settler.done(transaction, place, goneOf(outcome)),
      async () => more || nextRetry.refresh(transaction),
      () => transaction.commit(next && !this.#gathers),
    )
    if (next) this.#claimBehind(transaction, half)
    await settled
    if (outcome.failures.length > dead.length) nextRetry.unknown()
    report(this.#options.events, this.#options.listener.definition.name, outcome, dead)
  }

  #handle(transaction: BatchTransaction, notifications: readonly Claimed[]): Promise<Outcome> {
    const { transactional } = this.#options.listener.consume
    const handle = transactional ? this.#inside : this.#beside
    return whileConnected(transaction, this.#options.stop, (stop) =>
      this.#turn.take(stop.draining, async () => {
        const begun = performance.now()
        const handling = handle.call(this, transaction, notifications, stop)
        this.#options.onWork()
        const outcome = await handling
        this.#took(transaction, notifications.length, performance.now() - begun)
        return outcome
      }),
    )
  }

  #took({ pipelined }: BatchTransaction, count: number, milliseconds: number): void {
    if (count >= this.#size.current) this.#size.took(milliseconds)
    const { transactional, batch } = this.#options.listener.consume
    this.#isWorthTwo = pipelined && !transactional && !batch && count >= worthTwo && milliseconds < fast
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
