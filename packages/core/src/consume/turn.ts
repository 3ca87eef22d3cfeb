import { untilAborted } from './until-aborted.js'

/** Lets work of several be done one after another, in the order in which they ask. */
export class Turn {
  #last: Promise<unknown> = Promise.resolve()

  /** Does the work when all before it is done, or when the signal aborts: then at once. */
  async take<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#last
    let over: () => void = () => {}
    const own = new Promise<void>((resolve) => {
      over = resolve
    })
    this.#last = Promise.all([before, own])
    try {
      await untilAborted(before, signal, () => {})
      return await work()
    } finally {
      over()
    }
  }
}
