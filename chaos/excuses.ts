import type { Run } from './runs.ts'

/** A time in which a process lost connections, was killed, or, where leases count, could not renew them. */
export interface Hurt {
  readonly process: string
  readonly from: number
  readonly to: number
  /** It lost no connection: it, or its way to the server, was only held up. */
  readonly delay: boolean
}

/** How long a process may take to notice that a connection is lost, beside the times in which it was seen to be held up. */
const noticeUs = 1_000_000

/** A shorter delay costs no lease: one of two seconds is renewed more often. */
const renewalUs = 1_000_000

/**
 * What a crash allows. Whoever loses a connection, or its life, loses what it has claimed and not yet committed: it is
 * handled again elsewhere, and what was running there is a repeat. And it goes on, until it notices.
 */
export class Excuses {
  readonly #hurts = new Map<string, Hurt[]>()
  readonly #isLeased: (listener: string) => boolean

  constructor(hurts: readonly Hurt[], isLeased: (listener: string) => boolean) {
    for (const hurt of hurts) this.#hurts.set(hurt.process, [...(this.#hurts.get(hurt.process) ?? []), hurt])
    this.#isLeased = isLeased
  }

  /** Whether what is wrong about `later`, which began after `earlier`, is what a crash allows. */
  allow(earlier: Run, later: Run): boolean {
    return this.#lost(earlier, later.begin) || this.#isStale(earlier) || this.#isStale(later)
  }

  /** The claim of the run was lost before somebody else began with it. */
  #lost(run: Run, until: number): boolean {
    if (run.committed) return false
    return this.#hurtsOf(run).some(({ from, to }) => from <= until && to >= run.begin)
  }

  /** It began when its claim was lost already, and its process had not noticed: so it did not commit either. */
  #isStale(run: Run): boolean {
    if (run.committed) return false
    const hurts = this.#hurtsOf(run)
    return hurts.some(
      ({ from, to }) => from <= run.begin && run.begin - to < noticeUs + this.#delayed(run.process, from, run.begin),
    )
  }

  #hurtsOf({ process, listener }: Run): Hurt[] {
    const hurts = this.#hurts.get(process) ?? []
    return hurts.filter(({ from, to, delay }) => !delay || (this.#isLeased(listener) && to - from > renewalUs))
  }

  #delayed(process: string, from: number, until: number): number {
    const delays = (this.#hurts.get(process) ?? []).filter(({ delay }) => delay)
    return delays.reduce((sum, hurt) => sum + Math.max(0, Math.min(hurt.to, until) - Math.max(hurt.from, from)), 0)
  }
}
