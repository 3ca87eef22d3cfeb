import type { BatchOptions, BatchResult } from './batch.js'
import type { Half } from './claim-parts.js'
import { Claims } from './claims.js'
import type { Batch } from './fresh-claims.js'
import { Gathering } from './gather.js'
import { Interruptions, mayBeInterrupted, setApart } from './interrupted.js'
import type { NextRetry } from './next-retry.js'
import { report } from './report.js'
import type { Settler } from './settle.js'
import { StoredVersions } from './stored-versions.js'
import { type BatchTransaction, inTurn, type TransactionSource } from './transaction.js'

/** A batch that is to be handled, in the transaction that has claimed it. */
export interface ClaimedBatch extends Batch {
  readonly transaction: BatchTransaction
}

/** Where the batches of one listener in one worker come from. */
export class Intake {
  readonly #options: BatchOptions
  readonly #transactions: TransactionSource
  readonly #settler: Settler
  readonly #claims: Claims
  readonly #interruptions: Interruptions
  readonly #gathering: Gathering | null
  /** Null where nobody asks for the version of what is stored. */
  readonly #versions: StoredVersions | null
  #heldBackUntil = 0

  /** @param leader the worker's other intake, which sees to all that is not fresh */
  constructor(options: BatchOptions, transactions: TransactionSource, settler: Settler, leader?: Intake) {
    this.#options = options
    this.#transactions = transactions
    this.#settler = settler
    this.#claims = new Claims(options, leader ? leader.#claims : null)
    this.#interruptions = new Interruptions(options.statements)
    const { batch, upcast } = options.listener.consume
    const { schema, listener, statements } = options
    this.#versions =
      upcast && !('channel' in listener.definition) ? new StoredVersions(schema, listener.definition, statements) : null
    this.#gathering = batch && new Gathering(options, batch)
  }

  /** Every notification that is ready has an id above this. */
  get start(): bigint {
    return this.#claims.start
  }

  /** The next claim first looks whether something is ready that should not be. */
  get isSweepDue(): boolean {
    return this.#claims.isSweepDue
  }

  /** A batch has failed: the next claim begins at the head. */
  forget(): void {
    this.#claims.forget()
  }

  /** When the next retry is due, as far as this worker knows. */
  get nextRetry(): NextRetry {
    return this.#claims.nextRetry
  }

  /** Keeps back what the next claim sends. @returns a function that sends it, to be called in any case; null where that cannot be */
  holdBack(): (() => void) | null {
    const send = this.#gathering ? null : this.#transactions.holdBack?.()
    if (!send) return null
    return () => {
      send()
      this.#heldBackUntil = performance.now()
    }
  }

  /**
   * Claims what is to be handled now, and leaves the transaction to the caller to end. Where there is nothing of it, the
   * transaction has ended, and the result says why.
   * @param after the transaction of the batch before, whose commit has just been sent
   */
  async claim(
    limit: number,
    half: Half = null,
    after: BatchTransaction | null = null,
  ): Promise<ClaimedBatch | BatchResult> {
    const { allowance } = this.#options
    if (!allowance) return this.#claim(limit, half, after)
    const granted = allowance.take(limit)
    if (granted === 0) return 'empty'
    const claimed = await this.#claim(granted, half, after)
    allowance.giveBack(typeof claimed === 'string' ? granted : granted - claimed.notifications.length)
    return claimed
  }

  async #claim(limit: number, half: Half, after: BatchTransaction | null): Promise<ClaimedBatch | BatchResult> {
    await this.#gathering?.filled(this.start)
    if (this.#options.stop.draining.aborted) return 'empty'
    const begun = performance.now()
    const transaction = await this.#claims.begin(this.#transactions, after)
    let claimed: ClaimedBatch | null = null
    try {
      const batch = await this.#claims.take(transaction, limit, half)
      if (batch === 'paused') return await this.#over(transaction, 'paused')
      const instead = await this.#insteadOf(batch, transaction)
      if (instead) return instead
      claimed = { ...(this.#versions ? await this.#versions.noted(transaction, batch) : batch), transaction }
      this.#tellClaimed(batch.notifications.length, performance.now() - Math.max(begun, this.#heldBackUntil))
      return claimed
    } finally {
      if (!claimed) transaction.end()
    }
  }

  #tellClaimed(count: number, milliseconds: number): void {
    const { events, listener } = this.#options
    events.emit('claimed', { listener: listener.definition.name, count, milliseconds })
  }

  /** What is done where the batch is not to be handled now. */
  async #insteadOf(batch: Batch, transaction: BatchTransaction): Promise<BatchResult | null> {
    if (batch.notifications.length === 0) {
      await inTurn(
        transaction,
        () => this.nextRetry.refresh(transaction),
        () => transaction.commit(),
      )
      return batch.blocked ? 'blocked' : 'empty'
    }
    const interrupted = mayBeInterrupted(batch) ? await this.#interruptions.among(transaction, batch) : []
    if (interrupted.length === 0) return this.#gathering && this.#unlessTooEarly(this.#gathering, batch, transaction)
    // they are put off, to be handled alone, and the others are claimed again without them
    const { outcome, dead } = await setApart(transaction, this.#settler, batch.waiting, interrupted)
    this.nextRetry.unknown()
    await transaction.commit()
    report(this.#options.events, this.#options.listener.definition.name, outcome, dead)
    return 'full'
  }

  /** What arrived since the look has to wait as well. */
  async #unlessTooEarly(
    gathering: Gathering,
    batch: Batch,
    transaction: BatchTransaction,
  ): Promise<BatchResult | null> {
    const early = gathering.missing(batch, (await transaction.first).now)
    if (early === 0) return null
    await transaction.commit()
    await gathering.pause(early)
    return 'full'
  }

  async #over(transaction: BatchTransaction, result: BatchResult): Promise<BatchResult> {
    await transaction.commit()
    return result
  }
}
