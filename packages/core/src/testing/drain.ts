import { setTimeout as pass } from 'node:timers/promises'
import type { Context } from '../change.js'
import { checkOptionNames, oneOf, timerMilliseconds } from '../check.js'
import { PubSubError } from '../errors.js'
import type { PubSubEvents } from '../events.js'
import type { ProcessOptions } from '../process-options.js'
import type { PubSub } from '../pubsub.js'

/** Options of {@link drain}. */
export interface DrainOptions {
  /** Names of the listeners whose changes are handled. @default all that are declared */
  listeners?: readonly string[]
  /**
   * Only what was stored with a context that contains this is handled, as with `listen()`.
   * @default whatever the context is
   */
  context?: Context
  /** `'return'`: an attempt that fails is no error of `drain`. @default 'throw' */
  failures?: 'throw' | 'return'
  /** Milliseconds after which it gives up on the handlers that run. @default 10000 */
  timeoutMs?: number
}

/** An attempt that has failed. */
export type Failed = PubSubEvents['failed']

/** What {@link drain} has done. */
export interface Drained {
  /** Attempts that were made, those that failed included. */
  readonly processed: number
  /** Attempts that have failed, in their order. Each change waits for its next one, or is `dead`. */
  readonly failures: readonly Failed[]
}

const names = ['listeners', 'context', 'failures', 'timeoutMs'] as const satisfies readonly (keyof DrainOptions)[]

/** How long workers that have something in hand are waited for, before it is looked again, in milliseconds. */
const lookMs = 10

/**
 * Handles what is ready, what handlers write meanwhile included, until nothing is: what workers have in hand is waited for,
 * what waits for a retry is not.
 * @throws PGPUBSUB_HANDLER_FAILED when an attempt has failed, PGPUBSUB_TIMEOUT, and what `process()` throws
 */
export async function drain(engine: PubSub, options: DrainOptions = {}): Promise<Drained> {
  checkOptionNames('drain', options, names)
  const { context, failures: onFailure = 'throw', timeoutMs = 10_000 } = options
  const deadline = AbortSignal.timeout(timerMilliseconds('drain', 'timeoutMs', timeoutMs))
  oneOf('drain', 'failures', ['throw', 'return'] as const, onFailure)
  const listeners = engine.declared(options.listeners)
  const failures: Failed[] = []
  const unsubscribe = engine.on('failed', (failed) => {
    if (listeners.includes(failed.listener)) failures.push(failed)
  })
  try {
    const processed = await handleAll(
      engine,
      { listeners, ...(context !== undefined && { context }), signal: deadline },
      timeoutMs,
    )
    if (failures.length > 0 && onFailure === 'throw') throw handlerFailed(failures)
    return { processed, failures }
  } finally {
    unsubscribe()
  }
}

async function handleAll(
  engine: PubSub,
  options: ProcessOptions & { readonly listeners: readonly string[]; readonly signal: AbortSignal },
  timeoutMs: number,
): Promise<number> {
  for (let all = 0; ; ) {
    const { processed, remaining } = await engine.process(options)
    all += processed
    if (processed === 0 && remaining === 0 && !(await anyRunning(engine, options.listeners))) return all
    if (options.signal.aborted) throw timedOut(timeoutMs)
    if (processed === 0) await pass(lookMs)
  }
}

async function anyRunning(engine: PubSub, listeners: readonly string[]): Promise<boolean> {
  const states = await engine.status()
  return states.some(({ listener, running }) => running > 0 && listeners.includes(listener))
}

function timedOut(timeoutMs: number): PubSubError {
  return new PubSubError(
    'PGPUBSUB_TIMEOUT',
    `drain has not come to an end within ${timeoutMs} ms: a handler takes longer, or writes what it is given again. Raise timeoutMs for the first.`,
  )
}

function handlerFailed(failures: readonly Failed[]): PubSubError {
  const lines = failures.map(
    ({ listener, id, attempt, error }) => `"${listener}", change ${id}, attempt ${attempt}: ${error}`,
  )
  const errors = failures.map(({ error }) => error)
  return new PubSubError(
    'PGPUBSUB_HANDLER_FAILED',
    `${failures.length === 1 ? 'An attempt has' : `${failures.length} attempts have`} failed; where that is meant, pass { failures: 'return' }.\n${lines.join('\n')}`,
    { cause: errors.length === 1 ? errors[0] : new AggregateError(errors) },
  )
}
