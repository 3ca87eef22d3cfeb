const windowMs = 60_000

/** How much is counted in a second, over about the last minute, or since it began where that is less. */
export class Rate {
  #total = 0
  readonly #samples: { readonly at: number; readonly total: number }[]

  /** @param now milliseconds of a clock that only goes forward */
  constructor(now: number) {
    this.#samples = [{ at: now, total: 0 }]
  }

  count(): void {
    this.#total++
  }

  /** Ask every few seconds: the minute is as exact as that. */
  perSecond(now: number): number {
    this.#samples.push({ at: now, total: this.#total })
    while ((this.#samples[1]?.at ?? now) <= now - windowMs) this.#samples.shift()
    const [first] = this.#samples
    if (!first || first.at === now) return 0
    return ((this.#total - first.total) * 1000) / (now - first.at)
  }
}
