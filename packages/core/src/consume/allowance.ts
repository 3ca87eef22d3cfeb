/** How many notifications may be claimed, where that is limited. */
export class Allowance {
  #left = 0

  get left(): number {
    return this.#left
  }

  /** Lets so many be claimed from now on. */
  allow(count: number): void {
    this.#left = count
  }

  /** @returns how many of those wanted may be claimed */
  take(wanted: number): number {
    const granted = Math.min(wanted, this.#left)
    this.#left -= granted
    return granted
  }

  giveBack(count: number): void {
    this.#left += count
  }
}
