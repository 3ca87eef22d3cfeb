import { isMap } from 'node:util/types'
import { type RetryMoment, retryTime } from '../handler-errors.js'

/** What becomes of a notification whose handler has thrown. */
export type Verdict =
  | { readonly kind: 'retry' }
  | { readonly kind: 'retryAt'; readonly moment: RetryMoment }
  | { readonly kind: 'bury' }
  | { readonly kind: 'discard' }
  /** Its worker died, hung or was cut off: the handler has said nothing. */
  | { readonly kind: 'interrupted' }

const retry: Verdict = { kind: 'retry' }

/** What the handler's error asks for. Anything may have been thrown, and reading it may throw again. */
export function verdictOf(error: unknown): Verdict {
  try {
    const { code, when } = (error ?? {}) as { code?: unknown; when?: unknown }
    switch (code) {
      case 'PGPUBSUB_DISCARD':
        return { kind: 'discard' }
      case 'PGPUBSUB_DO_NOT_RETRY':
      // it will not be readable at the next attempt either
      case 'PGPUBSUB_UNREADABLE_ROW':
      case 'PGPUBSUB_UNREADABLE_MESSAGE':
      case 'PGPUBSUB_UPCAST_FAILED':
      case 'PGPUBSUB_INVALID_CHANGE':
        return { kind: 'bury' }
      case 'PGPUBSUB_RETRY_AT': {
        const moment = retryTime(when)
        return moment ? { kind: 'retryAt', moment } : retry
      }
      default:
        return retry
    }
  } catch {
    return retry
  }
}

/** The failed ones of a batch, where the handler's error names them. */
export function failedChanges(error: unknown): ReadonlyMap<bigint, unknown> | null {
  try {
    const { code, failed } = (error ?? {}) as { code?: unknown; failed?: unknown }
    return code === 'PGPUBSUB_FAILED_CHANGES' && isMap(failed) ? (failed as Map<bigint, unknown>) : null
  } catch {
    return null
  }
}
