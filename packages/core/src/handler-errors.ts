import { isDate } from 'node:util/types'
import { PubSubError } from './errors.js'

/*
 * Errors by which a handler decides what becomes of its notification. They are told by `code`, not by class: the program
 * may have loaded this package twice.
 */

/** When the next attempt shall be: at a point in time, or so many milliseconds after this one has failed. */
export type RetryTime = Date | { readonly afterMs: number }

/**
 * Thrown by a handler: this attempt has failed, and the next one shall be then, whatever `backoff` says. It counts as an
 * attempt: after the last one the notification is a dead letter all the same.
 * @example
 * if (response.status === 429) throw new RetryAt({ afterMs: 30_000 }, 'the service asked to wait')
 */
export class RetryAt extends Error {
  override readonly name = 'RetryAt'
  readonly code = 'PGPUBSUB_RETRY_AT' as const
  readonly when: RetryTime

  /**
   * @param when a `Date`, or milliseconds from the failure on; what is past is at once
   * @throws PGPUBSUB_INVALID_OPTION when that is no time
   */
  constructor(when: RetryTime, message = 'The handler asked for another attempt.', options?: ErrorOptions) {
    super(message, options)
    if (retryTime(when) === null) {
      throw new PubSubError(
        'PGPUBSUB_INVALID_OPTION',
        'RetryAt takes when to try again: a valid Date, or { afterMs } with milliseconds, 0 or more.',
        options,
      )
    }
    this.when = when
  }
}

/** Thrown by a handler: no other attempt can help, so the notification becomes a dead letter at once. */
export class DoNotRetry extends Error {
  override readonly name = 'DoNotRetry'
  readonly code = 'PGPUBSUB_DO_NOT_RETRY' as const
}

/** Thrown by a handler: nothing is to be done, and the notification is deleted as if it had been handled. */
export class Discard extends Error {
  override readonly name = 'Discard'
  readonly code = 'PGPUBSUB_DISCARD' as const
}

/** Milliseconds, either since 1970 or from the failure on. */
export type RetryMoment =
  | { readonly at: number; readonly afterMs: null }
  | { readonly at: null; readonly afterMs: number }

/** What is thrown may come from another copy of the package, or only look alike: null where it names no time. */
export function retryTime(when: unknown): RetryMoment | null {
  if (isDate(when)) {
    return Number.isNaN(when.getTime()) ? null : { at: Math.max(0, when.getTime()), afterMs: null }
  }
  const { afterMs } = (when ?? {}) as { afterMs?: unknown }
  const fits = typeof afterMs === 'number' && Number.isFinite(afterMs) && afterMs >= 0
  return fits ? { at: null, afterMs: Math.min(afterMs, mostDelayMs) } : null
}

/** No attempt is put off for longer than a year. */
export const mostDelayMs = 365 * 86_400_000
