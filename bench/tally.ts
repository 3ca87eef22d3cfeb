/** Counts how often each of the rows 1 to `size` was handled. */
export class Tally {
  readonly #times: Uint8Array
  #count = 0
  #allSeen: () => void = () => {}
  /** Resolves when as many were counted as there are rows. */
  readonly complete: Promise<void>

  constructor(size: number) {
    this.#times = new Uint8Array(size)
    this.complete = new Promise((resolve) => {
      this.#allSeen = resolve
    })
  }

  get size(): number {
    return this.#times.length
  }

  count(id: number): void {
    this.#times[id - 1]!++
    if (++this.#count === this.#times.length) this.#allSeen()
  }

  /** @throws when a row was not handled, or more than once. */
  expectEachOnce(who: string): void {
    const wrong = this.#times.findIndex((times) => times !== 1)
    if (wrong === -1 && this.#count === this.#times.length) return
    throw new Error(
      `${who} handled row ${wrong + 1} ${this.#times[wrong]} times, and ${this.#count} of ${this.#times.length} in all.`,
    )
  }
}
