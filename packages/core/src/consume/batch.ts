import type { Pool } from '../database.js'
import type { Emitter } from '../events.js'
import type { Listener } from '../listener.js'
import type { Allowance } from './allowance.js'
import { BatchSeries } from './batch-series.js'
import { BatchSize } from './batch-size.js'
import type { Half } from './claim-parts.js'
import type { StopSignals } from './dispatch.js'
import { Intake } from './intake.js'
import { Settler } from './settle.js'
import type { StatementOptions } from './statement.js'
import { poolTransactions, type TransactionSource } from './transaction.js'
import { Turn } from './turn.js'

export interface BatchOptions {
  readonly listener: Listener
  readonly schema: string
  readonly pool: Pool
  readonly events: Emitter
  readonly stop: StopSignals
  /** Milliseconds after which it is looked for what is below where claims begin. */
  readonly sweepMs: number
  readonly statements: StatementOptions
  /** How many may be claimed; null: as many as there are. */
  readonly allowance: Allowance | null
  /** Called when there is more than one claim takes. */
  readonly onMore: () => void
  /** Called when handlers have begun that run while their batch is claimed. */
  readonly onWork: () => void
}

/**
 * What a batch came to. `full`: there may be more at once; `part`: that was all; `blocked`: there is something, but every
 * row's next change is with another worker or waits for its retry; `paused`: nothing may be taken.
 */
export type BatchResult = 'full' | 'part' | 'blocked' | 'empty' | 'paused'

/** Whether notifications were handled. */
export const isWork = (result: BatchResult) => result === 'full' || result === 'part'

/** The batches of one listener in one worker. */
export interface BatchSource {
  /** Every notification that is ready has an id above this. */
  readonly start: bigint
  /** Milliseconds until the next retry is due, null where nothing waits for one. */
  readonly untilRetry: number | null
  /** The next claim first looks whether something is ready that should not be. */
  readonly isSweepDue: boolean
  /** No handler is running. */
  readonly isIdle: boolean
  /** How many notifications the last batch had. */
  readonly lastCount: number
  /** Claims the next batch. */
  next(): Promise<BatchResult>
  /**
   * Makes up the claim of the next batch while there is nothing else to do. @returns a function that sends it, to be called
   * before {@link next}; null where that cannot be
   */
  prepare(): (() => void) | null
  /** Something that waits is due in so many milliseconds. */
  retryIn(milliseconds: number): void
  /** Call when {@link next} has failed: what it knew of the database may not be so. */
  forget(): void
  /** Call when no other batch is going to be claimed. */
  end(): Promise<void>
}

/** Where keys are few, one half of them may have nothing: then it is not tried again for up to so many batches. */
const longestPause = 64

/** Each of these batches is one transaction that claims, runs the handlers, deletes, commits. */
export class Batches implements BatchSource {
  readonly isIdle = true
  readonly #intake: Intake
  readonly #transactions: TransactionSource
  readonly #series: BatchSeries
  /** For the batches that are claimed while another one is handled. */
  readonly #second: BatchSeries
  /** How many batches are still to be claimed one by one, and how many after the next try in twos. */
  #oneByOne = 0
  #pause = 1

  constructor(options: BatchOptions) {
    const { listener, schema, statements, pool } = options
    const { transactional, batch, batchSize, concurrency } = listener.consume
    const transactions = (transactional && listener.transactions) || poolTransactions(pool, statements.answerMs)
    this.#transactions = transactions
    const settler = new Settler(schema, listener, statements)
    const shared = {
      settler,
      size: new BatchSize(batch?.size ?? batchSize, batch?.size ?? concurrency),
      turn: new Turn(),
    }
    this.#intake = new Intake(options, transactions, settler)
    this.#series = new BatchSeries(options, this.#intake, shared)
    this.#second = new BatchSeries(options, new Intake(options, transactions, settler, this.#intake), shared)
  }

  get start(): bigint {
    return this.#intake.start
  }

  get lastCount(): number {
    return this.#series.lastCount
  }

  get untilRetry(): number | null {
    return this.#intake.nextRetry.until
  }

  get isSweepDue(): boolean {
    return this.#intake.isSweepDue
  }

  /** Claims a batch, or, where they are many and quickly handled, batch after batch. */
  async next(): Promise<BatchResult> {
    if (this.#isTimeForTwos && !this.#series.hasNext) return this.#inTwos()
    this.#oneByOne--
    // a batch of all keys would be in the way of both halves
    return this.#series.next(null, () => !this.#isTimeForTwos)
  }

  prepare(): (() => void) | null {
    return this.#series.prepare()
  }

  get #isTimeForTwos(): boolean {
    return this.#series.isWorthTwo && this.#oneByOne <= 0
  }

  /**
   * Two batches at a time: while the handlers of one run, the other one is settled and the next is claimed. Each takes one
   * half of the keys, so that neither is in the other's way.
   */
  async #inTwos(): Promise<BatchResult> {
    let batches = 0
    let goesOn = true
    const run = async (series: BatchSeries, half: Half) => {
      try {
        for (; goesOn || series.hasNext; batches++) {
          const result = await series.next(half, () => goesOn)
          goesOn &&= result === 'full' && series.isWorthTwo
        }
      } finally {
        goesOn = false
      }
    }
    const ended = await Promise.allSettled([run(this.#series, 0), run(this.#second, 1)])
    this.#pause = batches > 4 ? 1 : Math.min(this.#pause * 2, longestPause)
    this.#oneByOne = this.#pause
    for (const end of ended) if (end.status === 'rejected') throw end.reason
    return 'full'
  }

  retryIn(milliseconds: number): void {
    this.#intake.nextRetry.notLaterThan(milliseconds)
  }

  forget(): void {
    this.#series.forget()
    this.#second.forget()
  }

  async end(): Promise<void> {
    await Promise.all([this.#series.end(), this.#second.end()])
    this.#transactions.end?.()
  }
}
