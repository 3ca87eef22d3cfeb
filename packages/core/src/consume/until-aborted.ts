import type { Abortable } from './stop.js'

/** What `work` comes to, or, when it is aborted first, what `instead` gives. */
export function untilAborted<T>(work: Promise<T>, stop: Abortable, instead: () => T): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const giveUp = () => resolve(Promise.resolve().then(instead))
    if (stop.aborted) giveUp()
    const isOver = stop.onAbort(giveUp)
    // what it comes to after that has no effect
    work.then(
      (result) => {
        isOver()
        resolve(result)
      },
      (error) => {
        isOver()
        reject(error)
      },
    )
  })
}
