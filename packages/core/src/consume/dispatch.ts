import type { Change, Context, Operation } from '../change.js'
import { keptAsText, members } from '../json-members.js'
import type { Listener } from '../listener.js'
import { runOutsideScopes } from '../publish/context.js'
import type { Claimed } from './claim.js'
import { withinTimeLimit } from './time-limit.js'
import { type Verdict, verdictOf } from './verdict.js'

/** A notification whose handler has thrown, and what becomes of it. */
export interface Failure {
  readonly notification: Claimed
  readonly error: unknown
  readonly verdict: Verdict
}

/** What became of the notifications of a batch. What is in no list was not begun, and goes back as it was. */
export interface Outcome {
  readonly done: Claimed[]
  /** Their handlers threw `Discard`. */
  readonly discarded: Failure[]
  readonly failures: Failure[]
}

/** When to stop: `draining` begins no more handlers, `abort` gives up on those that run. */
export interface StopSignals {
  readonly draining: AbortSignal
  readonly abort: AbortSignal
}

/**
 * Runs the handlers of a claimed batch: at most `concurrency` at once, the changes of one key one after another. When a
 * change fails, the later ones of its key are not begun.
 */
export async function dispatch(listener: Listener, batch: readonly Claimed[], stop: StopSignals): Promise<Outcome> {
  const outcome: Outcome = { done: [], discarded: [], failures: [] }
  const lanes = lanesOf(batch)
  let next = 0
  const runLanes = async () => {
    for (let lane = lanes[next++]; lane; lane = lanes[next++]) await runLane(listener, lane, stop, outcome)
  }
  const runners = Array.from({ length: Math.min(listener.consume.concurrency, lanes.length) }, runLanes)
  await unlessAborted(Promise.all(runners), stop.abort)
  // handlers that were given up on may still end: not into this outcome
  return { done: [...outcome.done], discarded: [...outcome.discarded], failures: [...outcome.failures] }
}

function lanesOf(batch: readonly Claimed[]): Claimed[][] {
  const byKey = new Map<string, Claimed[]>()
  const lanes: Claimed[][] = []
  for (const notification of batch) {
    const lane = notification.key === null ? undefined : byKey.get(notification.key)
    if (lane) {
      lane.push(notification)
      continue
    }
    const opened = [notification]
    lanes.push(opened)
    if (notification.key !== null) byKey.set(notification.key, opened)
  }
  return lanes
}

async function runLane(listener: Listener, lane: Claimed[], stop: StopSignals, outcome: Outcome): Promise<void> {
  for (const notification of lane) {
    if (stop.draining.aborted) return
    const failure = await attempt(listener, notification, stop.abort)
    if (failure === null) outcome.done.push(notification)
    // a handler that fails because it was told to stop goes back unharmed
    else if (stop.abort.aborted) return
    else if (failure.verdict.kind === 'discard') outcome.discarded.push(failure)
    else {
      outcome.failures.push(failure)
      return
    }
  }
}

/** @returns null where the handler has succeeded. */
async function attempt(listener: Listener, notification: Claimed, stop: AbortSignal): Promise<Failure | null> {
  const handle = (signal: AbortSignal) => listener.handler(toChange(listener, notification, signal))
  try {
    await runOutsideScopes(() => withinTimeLimit(listener.consume.timeoutMs, stop, handle))
    return null
  } catch (error) {
    return { notification, error, verdict: verdictOf(error) }
  }
}

/** Waits for `work`, but no longer than until the abort. */
async function unlessAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return
  let giveUp: () => void = () => {}
  const aborted = new Promise<void>((resolve) => {
    giveUp = resolve
  })
  signal.addEventListener('abort', giveUp, { once: true })
  try {
    await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

/** The stored notification as the handler sees it. Throws what the decoder throws: then the attempt has failed. */
function toChange(listener: Listener, stored: Claimed, signal: AbortSignal): Change<unknown> {
  const decode = (json: string | null) => (json === null ? null : listener.decode(json))
  let changed: string[] | undefined
  const change = {
    id: stored.id,
    listener: listener.definition.name,
    operation: stored.operation as Operation,
    old: decode(stored.old),
    new: decode(stored.new),
    get changed() {
      changed ??= changedFields(listener, stored)
      return changed
    },
    context: JSON.parse(stored.context) as Context,
    attempt: stored.attempts + 1,
    createdAt: stored.createdAt,
    signal,
  }
  return change as unknown as Change<unknown>
}

/** Names of the changed fields: stored where only a part of the row is, else found by comparing. */
function changedFields(listener: Listener, { changed, old, new: now }: Claimed): string[] {
  return (changed ?? differing(old, now)).flatMap((column) => listener.fieldName(column) ?? [])
}

/** Columns whose values differ; where one of the rows is null, all. Large values are compared as they are, not parsed. */
function differing(old: string | null, now: string | null): string[] {
  const before = new Map(old === null ? [] : members(old))
  const after = new Map(now === null ? [] : members(now))
  const columns = [...new Set([...before.keys(), ...after.keys()])].filter((column) => column !== keptAsText)
  if (old === null || now === null) return columns
  return columns.filter((column) => !isSame(before.get(column), after.get(column)))
}

/** A number can be written with more or fewer zeros behind its point. */
function isSame(before: string | undefined, after: string | undefined): boolean {
  if (before === after) return true
  return isShortNumber(before) && isShortNumber(after) && Number(before) === Number(after)
}

/** One that a double tells from all others. */
const isShortNumber = (text: string | undefined) => text !== undefined && /^-?[\d.]{1,15}$/.test(text)
