import type { PubSubEvent, PubSubEvents } from './events.js'
import type { TraceContext } from './publish/context.js'

/** One call of a handler, as it is told to an {@link Instrumentation}. */
export interface HandlerCall {
  readonly listener: string
  /** The handler is given lists. */
  readonly isBatch: boolean
  readonly notifications: readonly {
    readonly id: bigint
    readonly operation: string
    /** As JSON. */
    readonly context: string
    /** Failed attempts so far. */
    readonly attempts: number
    readonly createdAt: Date
  }[]
}

/** What an attempt came to, as far as it matters to who watches it. */
export interface Watched {
  readonly failures: readonly { readonly error: unknown; readonly verdict: { readonly kind: string } }[]
}

/**
 * Watches workers and the writes of a program: `openTelemetry()` makes one. Whatever it does, it must not throw, nor
 * change what an attempt comes to.
 */
export interface Instrumentation {
  /** Called once by the engine that it is given to. */
  observe(engine: { on<E extends PubSubEvent>(event: E, handler: (payload: PubSubEvents[E]) => void): unknown }): void
  /** The trace that the running code belongs to, to be stored with what it writes; null for none. */
  readonly currentTrace: () => TraceContext | null
  /** Runs what belongs to no request, whoever starts it. */
  inBackground<T>(work: () => T): T
  /** Runs an attempt. The handler alone, and nothing of the engine's, runs in `run`. */
  attempt<A extends Watched>(call: HandlerCall, attempt: (run: <T>(handler: () => T) => T) => Promise<A>): Promise<A>
}

export function isInstrumentation(given: unknown): given is Instrumentation {
  const { observe, currentTrace, inBackground, attempt } = (given ?? {}) as Partial<Instrumentation>
  return [observe, currentTrace, inBackground, attempt].every((member) => typeof member === 'function')
}
