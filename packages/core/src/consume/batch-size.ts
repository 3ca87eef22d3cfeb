/**
 * How many notifications the next claim should take. A batch is one transaction, and what a crash repeats: so it starts
 * small and grows only while its handlers are done quickly.
 */
export class BatchSize {
  readonly #least: number
  readonly #most: number
  #size: number

  /** @param concurrency handlers that run at once: fewer than that in a batch would leave some idle */
  constructor(most: number, concurrency: number) {
    this.#most = most
    this.#least = Math.min(concurrency, most)
    this.#size = Math.min(Math.max(concurrency, 50), most)
  }

  get current(): number {
    return this.#size
  }

  /** Call after each batch that was full. */
  took(milliseconds: number): void {
    if (milliseconds < fast) this.#size = Math.min(this.#size * 2, this.#most)
    else if (milliseconds > slow) this.#size = Math.max(Math.ceil(this.#size / 2), this.#least)
  }
}

/** Handlers of a batch that are done within so many milliseconds are quick. */
export const fast = 100
const slow = 400
