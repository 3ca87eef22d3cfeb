import { Ended, type Running } from './ended.js'
import type { Writers } from './writers.js'

/** A look costs more than to read over fewer dead rows than that. */
const worthLooking = 500n

/**
 * Where the ready notifications of a listener begin, as far as this worker knows: a claim that starts at the head of the
 * index pays for every dead row there that vacuum could not yet remove.
 *
 *   claim 1: L is the lowest ready id ─► note who runs now ─► all of them have ended ─► claim 2 sees M ─► min(L, M)
 *
 * An id is taken before its transaction commits, so an id below L may still appear after claim 1. But L was taken later
 * than it, so whoever took it was running when claim 1 looked, and claim 2, after all those have ended, sees it or
 * something below it, where it is still there.
 *
 * Which transactions ran is known by their ids, as soon as the one of claim 1 has ended: it took its own later than they
 * did. A claim that locked nothing has none, so after it only the locks tell, see {@link Ended}.
 */
export class Position {
  #start = 0n
  #lowest: bigint | null = null
  /** Whether the claim that saw it had a transaction id. */
  #lowestHasId = false
  #candidate: { readonly start: bigint; readonly before: Ended } | null = null

  /** Every ready notification has an id above this, and so will all that come. */
  get start(): bigint {
    return this.#start
  }

  /** Whether a look at the writers might let the start move. */
  get isHeldBack(): boolean {
    const candidate = this.#candidate
    return candidate !== null && !candidate.before.isCertain && candidate.start - this.#start >= worthLooking
  }

  /** Call before each claim. */
  observe(running: Running): void {
    if (this.#candidate === null && this.#lowest !== null && this.#lowest > this.#start) {
      this.#candidate = { start: this.#lowest, before: new Ended(this.#lowestHasId ? running.next : null) }
    }
    this.#lowest = null
    this.#candidate?.before.observe(running)
  }

  /** Call between {@link observe} and the claim, with who has a write lock on the notifications now. */
  observeWriters(now: Writers): void {
    this.#candidate?.before.observeWriters(now)
  }

  /**
   * Call after a claim that began at {@link start}, with the lowest ready id then, whether it could be taken or not.
   * @param locked whether the claim locked anything, so that its transaction has an id
   */
  saw(lowestId: bigint, locked: boolean): void {
    this.#lowest = lowestId - 1n
    this.#lowestHasId = locked
    if (!this.#candidate?.before.isCertain) return
    this.#start = lesser(this.#candidate.start, this.#lowest)
    this.#candidate = null
  }

  /** Another one of the same listener has found that every ready notification has an id above `start`. */
  follow({ start }: Position): void {
    if (start > this.#start) this.#beginAt(start)
  }

  /** Forget everything: the next claim begins at the head. */
  sweep(): void {
    this.#beginAt(0n)
  }

  #beginAt(start: bigint): void {
    this.#start = start
    this.#lowest = null
    this.#candidate = null
  }
}

// Math.min does not take bigint
const lesser = (a: bigint, b: bigint) => (a < b ? a : b)
