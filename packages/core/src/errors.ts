/** Every code that a {@link PubSubError} can carry. Tell errors apart by these, never by their message. */
export const errorCodes = [
  'PGPUBSUB_INVALID_OPTION',
  'PGPUBSUB_DUPLICATE_LISTENER',
  'PGPUBSUB_UNKNOWN_LISTENER',
  'PGPUBSUB_NO_LISTENERS',
  'PGPUBSUB_UNKNOWN_TABLE',
  'PGPUBSUB_UNKNOWN_COLUMN',
  'PGPUBSUB_NOT_A_TABLE',
  'PGPUBSUB_NOT_INSTALLED',
  'PGPUBSUB_NEWER_ENGINE',
  'PGPUBSUB_LOCK_TIMEOUT',
  'PGPUBSUB_TIMEOUT',
  'PGPUBSUB_HANDLER_FAILED',
  'PGPUBSUB_WORKER_DIED',
  'PGPUBSUB_LEASE_LOST',
  'PGPUBSUB_SWALLOWED_ERROR',
  'PGPUBSUB_TRANSACTION_OVER',
  'PGPUBSUB_TRANSACTION_CONTROL',
  'PGPUBSUB_UNREADABLE_ROW',
  'PGPUBSUB_UPCAST_FAILED',
  'PGPUBSUB_INVALID_CHANGE',
  'PGPUBSUB_DUPLICATE_CHANNEL',
  'PGPUBSUB_INVALID_MESSAGE',
  'PGPUBSUB_UNREADABLE_MESSAGE',
  'PGPUBSUB_BROADCAST_LOST',
  'PGPUBSUB_REPLAY_FAILED',
  'PGPUBSUB_CLOSED',
  'PGPUBSUB_INVALID_CONTEXT',
  'PGPUBSUB_INVALID_DECORATOR',
  'PGPUBSUB_INVALID_MODULE',
] as const

/** One of {@link errorCodes}. */
export type ErrorCode = (typeof errorCodes)[number]

/**
 * The one error class of this library. `code` says which mistake it is, the message says what to do about it, `cause`
 * holds the error underneath where there is one.
 */
export class PubSubError extends Error {
  override readonly name = 'PubSubError'
  /** Which mistake it is; each has its section in `docs/reference/errors.md`. */
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}
