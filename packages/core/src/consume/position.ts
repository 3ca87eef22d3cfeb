/**
 * Where the live notifications of a listener begin, as far as this worker knows: a claim that starts at the head of the
 * index pays for every dead row there that vacuum could not yet remove.
 *
 * A claim has seen every live row below the first one it found, that is, none. But an id is taken before its transaction
 * commits, so a lower id may still appear. Who takes an id has a transaction id by then, and so it is certain that none
 * will appear once every transaction that was running after that claim has ended: when the oldest running one is younger
 * than the youngest one was then.
 *
 * What the position skips for another reason (a row whose older one waits for its retry) is found by a sweep from 0.
 */
export class Position {
  #start = 0n
  #firstLive: bigint | null = null
  #waiting: { readonly start: bigint; readonly youngest: bigint } | null = null

  /** Every live notification has an id above this. */
  get start(): bigint {
    return this.#start
  }

  /** Call before each claim, with the oldest running transaction and the next transaction id to come. */
  observe(oldest: bigint, next: bigint): void {
    if (this.#waiting && oldest >= this.#waiting.youngest) {
      this.#start = this.#waiting.start
      this.#waiting = null
    }
    if (this.#waiting === null && this.#firstLive !== null && this.#firstLive > this.#start) {
      this.#waiting = { start: this.#firstLive, youngest: next }
    }
    this.#firstLive = null
  }

  /** Call after a claim that began at {@link start}, with the lowest id it has seen. */
  saw(lowestId: bigint): void {
    this.#firstLive = lowestId - 1n
  }

  /** Something at `id` was settled that the position had skipped: what waited behind it may be taken now. */
  rewind(id: bigint): void {
    if (id > this.#start) return
    this.#start = id - 1n
    this.#firstLive = null
    this.#waiting = null
  }

  /** Forget everything: the next claim begins at the head. */
  sweep(): void {
    this.#start = 0n
    this.#firstLive = null
    this.#waiting = null
  }
}
