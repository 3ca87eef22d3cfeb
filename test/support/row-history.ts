import { type AttemptEvent, readAttemptLog } from './attempt-log.ts'

/** A process from its start to its death. */
export interface Life {
  readonly events: readonly AttemptEvent[]
  /** When it was last seen alive. */
  readonly until: bigint
}

export function readLife(log: string): Life {
  const events = readAttemptLog(log)
  return { events, until: events.at(-1)?.at ?? 0n }
}

/** One attempt at one change. */
interface Run {
  readonly life: Life
  readonly row: number
  readonly change: number
  readonly attempt: number
  readonly begun: bigint
  /** Where its process died in it, when that was last seen alive. */
  ended: bigint
  outcome: 'done' | 'failed' | 'cut'
}

export interface History {
  /** What must not have happened. */
  readonly faults: string[]
  readonly runs: number
  readonly failed: number
  /** Changes that were handled again, or were being handled, when their process died. */
  readonly repeated: number
}

/**
 * Puts together what all processes did, row by row, and looks for what must not be: two attempts of a row at once, a
 * change before the one before it, a change left out. A change is settled when it was handled, or when its last attempt
 * has failed. Only the death of the process that settled changes lets them come again, from the first such on.
 */
export function historyOf(
  lives: readonly Life[],
  expected: { rows: number; changes: number; attempts: number },
): History {
  const byRow = new Map<number, Run[]>()
  const all = lives.flatMap(runsOf)
  for (const run of all) byRow.set(run.row, [...(byRow.get(run.row) ?? []), run])
  const faults: string[] = []
  let repeated = 0
  for (let row = 1; row <= expected.rows; row++) {
    const runs = (byRow.get(row) ?? []).sort((a, b) => (a.begun < b.begun ? -1 : 1))
    const judged = judge(runs, expected)
    repeated += judged.repeated
    faults.push(...judged.faults.map((fault) => `row ${row}: ${fault}`))
  }
  return { faults, runs: all.length, failed: all.filter(({ outcome }) => outcome === 'failed').length, repeated }
}

function runsOf(life: Life): Run[] {
  const open = new Map<string, Run>()
  const runs: Run[] = []
  for (const { event, at, row, change, attempt } of life.events) {
    const id = `${row} ${change}`
    const run = open.get(id)
    if (event === 'begun') {
      const begun: Run = { life, row, change, attempt, begun: at, ended: life.until, outcome: 'cut' }
      open.set(id, begun)
      runs.push(begun)
    } else if (run) {
      run.ended = at
      run.outcome = event
      open.delete(id)
    }
  }
  return runs
}

function judge(
  runs: readonly Run[],
  { changes, attempts }: { changes: number; attempts: number },
): { faults: string[]; repeated: number } {
  const faults: string[] = []
  /** The last run of each change. */
  const last = new Map<number, Run>()
  let settled = 0
  let repeated = 0
  let before: Run | undefined
  for (const run of runs) {
    if (before && run.begun < before.ended) faults.push(`${show(run)} beside ${show(before)}`)
    if (run.change > settled + 1) faults.push(`${show(run)}, when ${settled} was the last settled`)
    const earlier = last.get(run.change)
    if (earlier && run.change <= settled) {
      repeated++
      const again = Array.from({ length: settled - run.change + 1 }, (_, index) => last.get(run.change + index) as Run)
      const alive = again.find(({ life }) => life === run.life || life.until > run.begun)
      if (alive) faults.push(`${show(run)} again, though the process of ${show(alive)} lived on`)
    }
    if (earlier && !follows(earlier, run)) faults.push(`${show(run)} after ${show(earlier)}`)
    const isSettled = run.outcome === 'done' || (run.outcome === 'failed' && run.attempt >= attempts)
    settled = isSettled ? run.change : run.change - 1
    last.set(run.change, run)
    before = run
  }
  if (settled !== changes) faults.push(`the last settled change is ${settled}`)
  return { faults, repeated }
}

/** A failed attempt is counted, unless its process died before it could be. A death may count as one too. */
function follows(earlier: Run, run: Run): boolean {
  const died = earlier.life !== run.life && earlier.life.until < run.begun
  return died ? run.attempt >= earlier.attempt : earlier.outcome === 'failed' && run.attempt === earlier.attempt + 1
}

const show = ({ change, attempt, outcome }: Run) => `${change} (attempt ${attempt}, ${outcome})`
