import type { Listener } from '../listener.js'
import { runOutsideScopes } from '../publish/context.js'
import { callHandler, plainly, type Run } from './call-handler.js'
import type { Claimed } from './claim.js'
import { HandlerFailed, inSavepoint } from './savepoint.js'
import type { Stop } from './stop.js'
import { withinTimeLimit } from './time-limit.js'
import type { BatchTransaction } from './transaction.js'
import { untilAborted } from './until-aborted.js'
import { failedChanges, type Verdict, verdictOf } from './verdict.js'

/** A notification whose attempt has failed, and what becomes of it. */
export interface Failure {
  readonly notification: Claimed
  readonly error: unknown
  readonly verdict: Verdict
}

/** What one call of the handler is given: one notification, or with `batch` several. */
export type Call = readonly Claimed[]

/** What became of a call. What is in neither list goes back as it was. */
export interface Attempted {
  readonly done: readonly Claimed[]
  readonly failures: readonly Failure[]
}

/** Calls the handler once. It is over at once where the handler is not asynchronous. */
export type Attempt = (call: Call, stop: Stop) => Attempted | Promise<Attempted>

/** Handlers that run beside the transaction of their batch, or without one. */
export function plainAttempt(listener: Listener): Attempt {
  return watched(listener, (call, stop, run) => {
    const succeeded = (): Attempted => ({ done: call, failures: [] })
    const failed = (error: unknown) => failedAttempt(call, error)
    try {
      const handling = runOutsideScopes(() => handle(listener, call, { stop, run }))
      // a promise for each that needs none would be a tenth of what handling it takes
      return isSettled(handling) ? succeeded() : Promise.resolve(handling).then(succeeded, failed)
    } catch (error) {
      return failed(error)
    }
  })
}

/** It is nothing that might be waited for. */
const isSettled = (handling: unknown) => typeof handling !== 'object' && typeof handling !== 'function'

function failedAttempt(call: Call, error: unknown): Attempted {
  const failures = failuresOf(call, error)
  const failed = new Set(failures.map(({ notification }) => notification))
  return { done: call.filter((notification) => !failed.has(notification)), failures }
}

/** Handlers that run in the transaction of their batch. Throws only what is wrong with the transaction itself. */
export function transactionalAttempt(listener: Listener, transaction: BatchTransaction): Attempt {
  return watched(listener, async (call, stop, run) => {
    try {
      // what is given up on when the worker stops is undone
      const work = async (tx: unknown) => void (await handle(listener, call, { stop, run }, tx))
      await inSavepoint(transaction, (tx) => untilAborted(work(tx), stop, throwStopped))
      return { done: call, failures: [] }
    } catch (error) {
      if (!(error instanceof HandlerFailed)) throw error
      return { done: [], failures: failuresOf(call, error.error) }
    }
  })
}

function watched(
  { definition, consume, instrumentation }: Listener,
  attempt: (call: Call, stop: Stop, run: Run) => Attempted | Promise<Attempted>,
): Attempt {
  if (!instrumentation) return (call, stop) => attempt(call, stop, plainly)
  const shared = { listener: definition.name, isBatch: consume.batch !== null }
  return (call, stop) =>
    instrumentation.attempt({ ...shared, notifications: call }, async (run) => attempt(call, stop, run))
}

const throwStopped = (): never => {
  throw new Error('The worker was stopped.')
}

/** {@link callHandler} within its time limit. */
function handle(listener: Listener, call: Call, { stop, run }: { stop: Stop; run: Run }, tx?: unknown): unknown {
  const { timeoutMs } = listener.consume
  if (timeoutMs === null) return callHandler(listener, call, { stop, run, tx })
  return withinTimeLimit(timeoutMs, stop, (own) => callHandler(listener, call, { stop: own, run, tx }))
}

/** A handler of batches may say which of them have failed; otherwise all of them have. */
function failuresOf(call: Call, error: unknown): Failure[] {
  const failed = failedChanges(error)
  const known = failed && call.filter(({ id }) => failed.has(id))
  if (!known?.length) return call.map((notification) => ({ notification, error, verdict: verdictOf(error) }))
  return known.map((notification) => {
    const own = failed?.get(notification.id)
    return { notification, error: own, verdict: verdictOf(own) }
  })
}
