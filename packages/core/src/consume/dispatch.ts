import type { Attempt, Attempted, Call, Failure } from './attempt.js'
import type { Claimed } from './claim.js'
import type { Stop } from './stop.js'
import { untilAborted } from './until-aborted.js'

/** What became of the notifications of a batch. What is in no list was not begun, and goes back as it was. */
export interface Outcome {
  readonly done: Claimed[]
  /** Their handlers threw `Discard`. */
  readonly discarded: Failure[]
  readonly failures: Failure[]
}

/** When to stop: `draining` begins no more handlers, `abort` gives up on those that run. */
export interface StopSignals {
  readonly draining: Stop
  readonly abort: Stop
}

/** Calls that are made one after another; after one that has failed, the rest goes back. */
export type Lane = readonly Call[]

/** Makes the calls of all lanes: at most `concurrency` at once. Throws what an attempt throws. */
export async function dispatch(
  lanes: readonly Lane[],
  attempt: Attempt,
  concurrency: number,
  stop: StopSignals,
): Promise<Outcome> {
  const outcome = nothing()
  await runLanes(lanes, attempt, concurrency, stop, outcome)
  return outcome
}

/** The same, but when it is told to abort, it gives up on the handlers that still run. */
export async function dispatchUntilAborted(
  lanes: readonly Lane[],
  attempt: Attempt,
  concurrency: number,
  stop: StopSignals,
): Promise<Outcome> {
  const outcome = nothing()
  await untilAborted(runLanes(lanes, attempt, concurrency, stop, outcome), stop.abort, () => {})
  // handlers that were given up on may still end: not into this outcome
  return { done: [...outcome.done], discarded: [...outcome.discarded], failures: [...outcome.failures] }
}

/** What is to be deleted: what was handled, and what its handler threw away. */
export const goneOf = ({ done, discarded }: Outcome): Claimed[] => [
  ...done,
  ...discarded.map(({ notification }) => notification),
]

const nothing = (): Outcome => ({ done: [], discarded: [], failures: [] })

async function runLanes(
  lanes: readonly Lane[],
  attempt: Attempt,
  concurrency: number,
  stop: StopSignals,
  outcome: Outcome,
): Promise<void> {
  let next = 0
  const run = async () => {
    for (let lane = lanes[next++]; lane; lane = lanes[next++]) {
      for (const call of lane) {
        if (stop.draining.aborted || stop.abort.aborted) return
        const attempting = attempt(call, stop.abort)
        // also where it is over: before what else has happened to a row, other rows have their turn, as it was when they changed
        const attempted = attempting instanceof Promise || lane.length > 1 ? await attempting : attempting
        // a handler that fails because it was told to stop goes back unharmed
        if (stop.abort.aborted && attempted.failures.length > 0) return
        if (record(attempted, outcome)) break
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(concurrency, lanes.length) }, run))
}

/** One call for each notification, those of one key in one lane. */
export function lanesByKey(batch: readonly Claimed[]): Lane[] {
  const byKey = new Map<string, Call[]>()
  const lanes: Call[][] = []
  for (const notification of batch) {
    const lane = notification.key === null ? undefined : byKey.get(notification.key)
    if (lane) {
      lane.push([notification])
      continue
    }
    const opened = [[notification]]
    lanes.push(opened)
    if (notification.key !== null) byKey.set(notification.key, opened)
  }
  return lanes
}

/** What a single call has come to. */
export function recorded(attempted: Attempted): Outcome {
  const outcome = nothing()
  record(attempted, outcome)
  return outcome
}

/** @returns whether something has failed that what comes later in the lane has to wait for. */
function record({ done, failures }: Attempted, outcome: Outcome): boolean {
  if (failures.length === 0) {
    for (const notification of done) outcome.done.push(notification)
    return false
  }
  const failed = failures.filter(({ verdict }) => verdict.kind !== 'discard')
  outcome.failures.push(...failed)
  outcome.discarded.push(...failures.filter(({ verdict }) => verdict.kind === 'discard'))
  outcome.done.push(...(failed.length === 0 ? done : done.filter((notification) => !isBehind(notification, failed))))
  return failed.length > 0
}

/** It was handled together with an earlier change of its row that has failed: it comes again after that. */
const isBehind = ({ key, id }: Claimed, failed: readonly Failure[]) =>
  key !== null && failed.some(({ notification }) => notification.key === key && notification.id < id)
