import { setMaxListeners } from 'node:events'

/** What can tell that it is over. */
export interface Abortable {
  readonly aborted: boolean
  /** Calls `tell` when it is over, and never where it is already. @returns what takes that back */
  onAbort(tell: () => void): () => void
}

/**
 * Tells work to stop, as an AbortController does, of which a handler is given the signal. Most handlers never look at it, and
 * to make one and listen to it would take longer than to claim a change: so there is none before it is asked for.
 */
export class Stop implements Abortable {
  readonly #tell = new Set<() => void>()
  #aborted = false
  #reason: unknown
  #controller: AbortController | null = null

  get aborted(): boolean {
    return this.#aborted
  }

  /** Why, where something was said. */
  get reason(): unknown {
    return this.#reason
  }

  get signal(): AbortSignal {
    this.#controller ??= this.#newController()
    return this.#controller.signal
  }

  /** Calling it again changes nothing. */
  abort(reason?: unknown): void {
    if (this.#aborted) return
    this.#aborted = true
    this.#reason = reason
    const told = [...this.#tell]
    this.#tell.clear()
    this.#controller?.abort(reason)
    for (const tell of told) tell()
  }

  onAbort(tell: () => void): () => void {
    if (!this.#aborted) this.#tell.add(tell)
    return () => this.#tell.delete(tell)
  }

  /** Aborts when the other one does, for the same reason. @returns what takes that back */
  follow(other: Stop): () => void {
    const passOn = () => this.abort(other.reason)
    if (other.aborted) passOn()
    return other.onAbort(passOn)
  }

  #newController(): AbortController {
    const controller = new AbortController()
    // handlers add theirs, as many as run at once: past ten, Node would take that for a leak
    setMaxListeners(0, controller.signal)
    if (this.#aborted) controller.abort(this.#reason)
    return controller
  }
}

/** A signal of the user's. */
export const abortable = (signal: AbortSignal): Abortable => ({
  get aborted() {
    return signal.aborted
  },
  onAbort: (tell) => {
    signal.addEventListener('abort', tell, { once: true })
    return () => signal.removeEventListener('abort', tell)
  },
})
