import { Ended, type Running } from './ended.js'
import type { Writers } from './writers.js'

/**
 * Up to which id everything is settled: no notification with a lower one is going to appear.
 *
 *   claim 1 locks something: H is the highest id it sees ─► claim 2 notes who runs ─► all of them have ended by claim 3
 *
 * Who took an id below H had its transaction id before claim 1 had one, so it was among those that ran at claim 2, or had
 * ended. See {@link Position}, which asks the same of the lowest id.
 */
export class Settled {
  #id = 0n
  #highest: bigint | null = null
  #candidate: { readonly id: bigint; readonly before: Ended } | null = null

  get id(): bigint {
    return this.#id
  }

  /** Call before each claim. */
  observe(running: Running): void {
    this.#candidate?.before.observe(running)
    this.#settle()
    if (this.#highest !== null) this.#candidate ??= { id: this.#highest, before: new Ended(running.next) }
    this.#highest = null
  }

  /** Call between {@link observe} and the claim, with who has a write lock on the notifications now. */
  observeWriters(now: Writers): void {
    this.#candidate?.before.observeWriters(now)
    this.#settle()
  }

  /** Call after a claim that locked something, with the highest id that it saw. */
  saw(highestId: bigint): void {
    this.#highest = highestId
  }

  #settle(): void {
    if (!this.#candidate?.before.isCertain) return
    this.#id = this.#candidate.id
    this.#candidate = null
  }
}
