import { Allowance } from './allowance.js'
import { Batches, type BatchOptions, type BatchSource, isWork } from './batch.js'
import { LeasedBatches } from './leased-batches.js'
import { longestTimeout, Signal } from './signal.js'

/** The notifications of one listener that are ready, handled as a worker does it, without waiting for others to come. */
export class ReadyNotifications {
  readonly #options: Omit<BatchOptions, 'allowance' | 'onMore' | 'onWork'>
  readonly #allowance = new Allowance()
  readonly #free = new Signal()
  readonly #batches: BatchSource

  constructor(options: Omit<BatchOptions, 'allowance' | 'onMore' | 'onWork'>) {
    this.#options = options
    const { leaseMs } = options.listener.consume
    const batches = { ...options, allowance: this.#allowance, onMore: () => {}, onWork: () => {} }
    const onFree = () => this.#free.set()
    this.#batches = leaseMs === null ? new Batches(batches) : new LeasedBatches({ ...batches, onFree }, leaseMs)
    options.stop.draining.onAbort(onFree)
  }

  /** As many were claimed as were allowed: there may be more. */
  get mayHaveMore(): boolean {
    return this.#allowance.left === 0
  }

  /** Handles so many at most, until nothing is ready or it is stopped. */
  async handle(most: number): Promise<void> {
    this.#allowance.allow(most)
    while (!this.#options.stop.draining.aborted) {
      this.#free.clear()
      if (isWork(await this.#batches.next())) continue
      if (this.#batches.isIdle) return
      await this.#free.wait(longestTimeout)
    }
  }

  /** Waits for the handlers that run, or until they are given up on. */
  end(): Promise<void> {
    return this.#batches.end()
  }
}
