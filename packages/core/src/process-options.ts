import type { Context } from './change.js'
import { checkListenerNames, checkOptionNames, invalid, positiveInteger, timerMilliseconds } from './check.js'
import { chosenListeners, contextFilter } from './listen-options.js'
import type { Listener, ListenerRegistry } from './listener.js'

/** Options of `process()`. */
export interface ProcessOptions {
  /** Names of the listeners whose notifications are handled. @default all that are declared */
  listeners?: readonly string[]
  /**
   * Only what was stored with a context that contains this is handled, as `@>` of jsonb has it: `{ tenant: 'a' }`. The rest
   * waits, and what comes after it on the same row waits with it; neither of them remains.
   * @default whatever the context is
   */
  context?: Context
  /** The most attempts that are made, of all listeners together. @default no limit */
  max?: number
  /** Milliseconds after which nothing more is claimed; handlers that run then may end. @default no limit */
  maxMs?: number
  /**
   * When it aborts, so does the `signal` of the handlers that run: they are given up on, and what they had goes back
   * unharmed. What was handled until then stays handled.
   * @default none
   */
  signal?: AbortSignal
}

/** What `process()` has done. */
export interface ProcessResult {
  /** Attempts that were made, those that failed included. */
  readonly processed: number
  /** Notifications of these listeners that could be handled at once. Above 10,000, an estimate. */
  readonly remaining: number
}

/** {@link ProcessOptions} that are checked, with their defaults. */
export interface ResolvedProcessOptions {
  readonly listeners: readonly Listener[]
  /** Only notifications whose context contains this JSON object are handled; null: all. */
  readonly context: string | null
  /** `Infinity`: no limit. */
  readonly max: number
  readonly maxMs: number | null
  readonly signal: AbortSignal | null
}

const names = ['listeners', 'context', 'max', 'maxMs', 'signal'] as const satisfies readonly (keyof ProcessOptions)[]

/** @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_INVALID_CONTEXT, PGPUBSUB_NO_LISTENERS, PGPUBSUB_UNKNOWN_LISTENER */
export function resolveProcessOptions(declared: ListenerRegistry, options: ProcessOptions): ResolvedProcessOptions {
  checkOptionNames('process', options, names)
  const { listeners, max, maxMs, signal } = options
  const context = options.context === undefined ? null : contextFilter(options.context)
  if (listeners !== undefined) checkListenerNames('process', listeners)
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid('signal of process must be the signal of an AbortController: pass controller.signal.')
  }
  return {
    // of a broadcast nothing is stored
    listeners: chosenListeners(declared, listeners ? { listeners } : {})
      .filter(({ definition }) => definition.delivery === 'durable')
      .map((listener) => ({ ...listener, consume: { ...listener.consume, context } })),
    context,
    max: max === undefined ? Number.POSITIVE_INFINITY : positiveInteger('process', 'max', max),
    maxMs: maxMs === undefined ? null : timerMilliseconds('process', 'maxMs', maxMs),
    signal: signal ?? null,
  }
}
