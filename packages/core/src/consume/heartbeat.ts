import { PubSubError } from '../errors.js'
import type { Call } from './attempt.js'
import type { Stop } from './stop.js'

/** A call of the handler whose notifications are leased. */
export interface Running {
  readonly call: Call
  readonly lease: string
  /** Aborts when the lease is lost, or the worker's stop is. */
  readonly abort: Stop
  /** Its result is being written down: the heartbeat leaves it alone, so that neither waits for the other. */
  settling: boolean
  /** When the lease lapses unless it is prolonged, by this process's clock. */
  lapsesAt: number
}

export interface HeartbeatOptions {
  /** The calls whose leases are prolonged. */
  readonly running: ReadonlyMap<Running, unknown>
  readonly leaseMs: number
  /** @returns ids of those that are still leased */
  readonly prolong: (ids: readonly bigint[], leases: readonly string[]) => Promise<ReadonlySet<bigint>>
  readonly onError: (error: unknown) => void
}

/** Prolongs the leases of one listener in one worker, three times in the time that they last, and tells who has lost one. */
export class Heartbeat {
  readonly #options: HeartbeatOptions
  #timer: NodeJS.Timeout | undefined
  #prolonging = false

  constructor(options: HeartbeatOptions) {
    this.#options = options
  }

  /** Nothing happens where it beats already. */
  begin(): void {
    this.#timer ??= setInterval(() => void this.#beat(), this.#options.leaseMs / 3)
  }

  end(): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  async #beat(): Promise<void> {
    const { running, leaseMs, prolong, onError } = this.#options
    const now = performance.now()
    const all = [...running.keys()].filter(({ settling }) => !settling)
    for (const each of all) if (now > each.lapsesAt) this.#giveUp(each)
    if (this.#prolonging) return
    this.#prolonging = true
    try {
      const ids = all.flatMap(({ call }) => call.map(({ id }) => id))
      const held = await prolong(ids, [...new Set(all.map(({ lease }) => lease))])
      for (const each of all) {
        if (each.call.every(({ id }) => held.has(id))) each.lapsesAt = now + leaseMs
        else this.#giveUp(each)
      }
    } catch (error) {
      // the next one comes in time, or finds that they have lapsed
      onError(error)
    } finally {
      this.#prolonging = false
    }
  }

  /** The lease is another worker's by now: the handler is told, and what it comes to has no effect. */
  #giveUp(each: Running): void {
    // one that has just ended is not lost but done
    if (this.#options.running.has(each)) each.abort.abort(leaseLost())
  }
}

const leaseLost = () =>
  new PubSubError(
    'PGPUBSUB_LEASE_LOST',
    'The lease lapsed while the handler ran, and another worker takes the change over: what this handler comes to has no effect on it.',
  )
