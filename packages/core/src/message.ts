import type { Context } from './change.js'

/** A message of a channel, as a handler is given it. */
export interface Message<Payload> {
  /** Identity of the notification: grows, and orders the messages of one key. */
  readonly id: bigint
  /** Name of the listener that this notification is for. */
  readonly listener: string
  /** Name of the channel that it was published on. */
  readonly channel: string
  /** What was published, as the channel's schema makes it. */
  readonly payload: Payload
  /** The context in which it was published; `{}` where none was set. */
  readonly context: Context
  /** Which attempt this is, 1 at the first. */
  readonly attempt: number
  /** When it was published (clock time, not the start of its transaction). */
  readonly createdAt: Date
  /** Aborts when the attempt takes longer than `timeoutMs`, or when the worker is stopped and its grace period is over. */
  readonly signal: AbortSignal
}
