import { FailedChanges } from '../handler-errors.js'
import type { Listener } from '../listener.js'
import type { Claimed } from './claim.js'
import { toGiven } from './to-change.js'
import { failedChanges } from './verdict.js'

/** What surrounds the handler itself, and nothing else of the attempt. */
export type Run = <T>(handler: () => T) => T

export const plainly: Run = (handler) => handler()

export interface CallOptions {
  readonly signal: AbortSignal
  readonly run?: Run
  readonly tx?: unknown
}

/** What the handler returns: a promise, or for one that is not asynchronous, nothing. Throws what that throws. */
export function callHandler(
  listener: Listener,
  call: readonly Claimed[],
  { signal, run = plainly, tx }: CallOptions,
): unknown {
  const { batch } = listener.consume
  const handle = (given: unknown) => run(() => listener.handler(given as never))
  if (!batch) return handle(toGiven(listener, call[0] as Claimed, signal, tx))
  const given: ReturnType<typeof toGiven>[] = []
  const unreadable = new Map<bigint, unknown>()
  for (const notification of call) {
    try {
      given.push(toGiven(listener, notification, signal, tx))
    } catch (error) {
      unreadable.set(notification.id, error)
    }
  }
  if (unreadable.size === 0) return handle(given)
  return withoutUnreadable(handle, given, unreadable)
}

/** One that cannot be read must not fail the others of its list. */
async function withoutUnreadable(
  handle: (given: unknown) => unknown,
  given: readonly { readonly id: bigint }[],
  unreadable: ReadonlyMap<bigint, unknown>,
): Promise<never> {
  const failed = new Map(unreadable)
  try {
    if (given.length > 0) await handle(given)
  } catch (error) {
    const named = failedChanges(error) ?? given.map(({ id }) => [id, error] as const)
    for (const [id, own] of named) failed.set(id, own)
  }
  throw new FailedChanges([...failed].map(([id, error]) => [{ id }, error]))
}
