import { FailedChanges } from '../handler-errors.js'
import type { Listener } from '../listener.js'
import type { Claimed } from './claim.js'
import { type HandlersOwn, readGiven } from './read-given.js'
import type { Stop } from './stop.js'
import { failedChanges } from './verdict.js'

/** What surrounds the handler itself, and nothing else of the attempt. */
export type Run = <T>(handler: () => T) => T

export const plainly: Run = (handler) => handler()

export interface CallOptions {
  readonly stop: Stop
  readonly run?: Run
  readonly tx?: unknown
}

/** What the handler returns: a promise, or for one that is not asynchronous, nothing. Throws what that throws. */
export function callHandler(
  listener: Listener,
  call: readonly Claimed[],
  { stop, run = plainly, tx }: CallOptions,
): unknown {
  const { batch } = listener.consume
  const handle = (given: unknown) => run(() => listener.handler(given as never))
  const read = (notification: Claimed) => readGiven(listener, notification, stop, tx)
  // what is done in a transaction is undone with those that fail: the others are given to it when they are claimed again
  if (batch) return handleList({ handle, handleRest: tx === undefined ? handle : () => {} }, call, read)
  const given = read(call[0] as Claimed)
  return given instanceof Promise ? given.then(handle) : handle(given)
}

/** @param handleRest is given the others where some cannot be read */
function handleList(
  { handle, handleRest }: Record<'handle' | 'handleRest', (given: unknown) => unknown>,
  call: readonly Claimed[],
  read: (notification: Claimed) => HandlersOwn | Promise<HandlersOwn>,
): unknown {
  const unreadable = new Map<bigint, unknown>()
  const fail = (id: bigint, error: unknown) => void unreadable.set(id, error)
  const all = call.map((notification) => {
    const { id } = notification
    try {
      const given = read(notification)
      return given instanceof Promise ? given.catch((error: unknown) => fail(id, error)) : given
    } catch (error) {
      return fail(id, error)
    }
  })
  const handleRead = (each: readonly (HandlersOwn | void)[]) => {
    const given = each.filter((one) => one !== undefined)
    return unreadable.size === 0 ? handle(given) : withoutUnreadable(handleRest, given, unreadable)
  }
  if (all.some((one) => one instanceof Promise)) return Promise.all(all).then(handleRead)
  return handleRead(all as (HandlersOwn | void)[])
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
