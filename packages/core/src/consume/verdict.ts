import { type RetryMoment, retryTime } from '../handler-errors.js'

/** What becomes of a notification whose handler has thrown. */
export type Verdict =
  | { readonly kind: 'retry' }
  | { readonly kind: 'retryAt'; readonly moment: RetryMoment }
  | { readonly kind: 'bury' }
  | { readonly kind: 'discard' }

const retry: Verdict = { kind: 'retry' }

/** What the handler's error asks for. Anything may have been thrown, and reading it may throw again. */
export function verdictOf(error: unknown): Verdict {
  try {
    const { code, when } = (error ?? {}) as { code?: unknown; when?: unknown }
    switch (code) {
      case 'PGPUBSUB_DISCARD':
        return { kind: 'discard' }
      case 'PGPUBSUB_DO_NOT_RETRY':
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
