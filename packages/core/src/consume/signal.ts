/** What setTimeout can hold, in milliseconds: anything longer would be over at once. */
export const longestTimeout = 2 ** 31 - 1

/** A latch to wait on: set from anywhere, also before anybody waits. */
export class Signal {
  #set = false
  #wake: (() => void) | undefined

  set(): void {
    this.#set = true
    this.#wake?.()
  }

  get isSet(): boolean {
    return this.#set
  }

  clear(): void {
    this.#set = false
  }

  /** Returns when the signal is set, at once where it is already, or after `milliseconds`. */
  async wait(milliseconds: number): Promise<void> {
    if (this.#set) return
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.min(milliseconds, longestTimeout))
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = undefined
  }
}
