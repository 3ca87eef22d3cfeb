import type { Writers } from './writers.js'

/** What ran when a claim began, as its snapshot has it. */
export interface Running {
  /** The oldest transaction that runs. */
  readonly oldest: bigint
  /** Above every transaction that has ended; some that run may be above it too. */
  readonly next: bigint
}

/**
 * Whether all transactions have ended that may have taken an id before some moment.
 *
 * They are known by their own ids where all of those are below `youngest`. But transactions that run for long and write
 * no notification would be waited for as well: so where the ids do not tell, the locks do. Who takes an id has a write
 * lock on the table until it ends.
 */
export class Ended {
  readonly #youngest: bigint | null
  #writers: Writers | null = null
  #certain = false

  constructor(youngest: bigint | null) {
    this.#youngest = youngest
  }

  get isCertain(): boolean {
    return this.#certain
  }

  observe({ oldest }: Running): void {
    this.#certain ||= this.#youngest !== null && oldest >= this.#youngest
  }

  /** @param now who has a write lock on the notifications, after that moment */
  observeWriters(now: Writers): void {
    this.#writers ??= now
    this.#certain ||= ![...this.#writers].some((writer) => now.has(writer))
  }
}
