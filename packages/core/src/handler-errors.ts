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
  /** When the next attempt shall be. */
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

/**
 * Thrown by a handler of batches: these changes have failed, each with an error of its own, and the others are done. In
 * the order of rows, later changes of a failed one's row count as not done and come again after it. In a transaction the
 * handler's work is undone as a whole, so there all that have not failed come again.
 * @example
 * const results = await index.bulk(changes)
 * const failed = changes.flatMap((change, i) => (results[i].error ? [[change, results[i].error] as const] : []))
 * if (failed.length > 0) throw new FailedChanges(failed)
 */
export class FailedChanges extends Error {
  override readonly name = 'FailedChanges'
  readonly code = 'PGPUBSUB_FAILED_CHANGES' as const
  /** Ids of the failed changes, and their errors. */
  readonly failed: ReadonlyMap<bigint, unknown>

  /**
   * @param failed each change with what it failed of, which may be a {@link RetryAt}, {@link DoNotRetry} or {@link Discard}
   * @throws PGPUBSUB_INVALID_OPTION when it names no change
   */
  constructor(failed: Iterable<readonly [change: { readonly id: bigint }, error: unknown]>) {
    super('Some changes of the batch have failed.')
    this.failed = new Map([...failed].map(([change, error]) => [change?.id, error]))
    if (this.failed.size > 0 && [...this.failed.keys()].every((id) => typeof id === 'bigint')) return
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      'FailedChanges takes pairs of a change and its error, one or more: new FailedChanges([[change, error]]).',
    )
  }
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
