import type { Abortable } from './stop.js'
import { untilAborted } from './until-aborted.js'

/** Lets work of several be done one after another, in the order in which they ask. */
export class Turn {
  /** Null where nothing is being done. */
  #last: Promise<unknown> | null = null

  /** Does the work when all before it is done, or when it is aborted: then at once. */
  take<T>(stop: Abortable, work: () => Promise<T>): Promise<T> {
    const before = this.#last
    const own = before ? untilAborted(before, stop, () => {}).then(work) : work()
    const last = Promise.allSettled([before, own]).then(() => {
      if (this.#last === last) this.#last = null
    })
    this.#last = last
    return own
  }
}
