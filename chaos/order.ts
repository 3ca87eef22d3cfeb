import type { Excuses } from './excuses.ts'
import type { Run } from './runs.ts'

export interface Disorder {
  readonly kind: 'overtook' | 'ran beside another' | 'went back' | 'repeated'
  readonly run: Run
  readonly other: Run | null
}

/**
 * What is wrong with the runs of one row, given in the order in which they began. `changes`: version → its place in the
 * order of the commits.
 *
 * A change is not begun before all earlier ones are done or dead; no two run at once; none is begun again once a later
 * one is, nor when it is done. What a crash allows is left out.
 */
export function disorderOf(runs: readonly Run[], changes: ReadonlyMap<string, number>, excuses: Excuses): Disorder[] {
  const placed = runs.filter(({ version }) => changes.has(version))
  const place = (run: Run) => changes.get(run.version) as number
  return [...overtaking(placed, place), ...meetings(placed, place, excuses)]
}

function overtaking(runs: readonly Run[], place: (run: Run) => number): Disorder[] {
  const wrong: Disorder[] = []
  // what is done with, by the time at which it was first
  const settledAt = new Map<number, number>()
  for (const run of runs) {
    if (run.how !== 'done' && run.how !== 'buried') continue
    settledAt.set(place(run), Math.min(run.end, settledAt.get(place(run)) ?? Number.POSITIVE_INFINITY))
  }
  const latestUpTo: number[] = []
  const latestBefore = (index: number) => {
    for (let known = latestUpTo.length; known < index; known++) {
      const latest = latestUpTo[known - 1] ?? 0
      latestUpTo[known] = Math.max(latest, settledAt.get(known) ?? Number.POSITIVE_INFINITY)
    }
    return index === 0 ? 0 : (latestUpTo[index - 1] as number)
  }
  const callsOf = new Map<string, Set<number>>()
  for (const run of runs) {
    const call = `${run.process} ${run.call}`
    callsOf.set(call, (callsOf.get(call) ?? new Set()).add(place(run)))
    if (latestBefore(place(run)) <= run.begin) continue
    // within one call the handler is given them in their order
    const together = callsOf.get(call) as Set<number>
    const missing = (index: number) =>
      (settledAt.get(index) ?? Number.POSITIVE_INFINITY) > run.begin && !together.has(index)
    if (Array.from({ length: place(run) }, (_, index) => index).some(missing)) {
      wrong.push({ kind: 'overtook', run, other: null })
    }
  }
  return wrong
}

function meetings(runs: readonly Run[], place: (run: Run) => number, excuses: Excuses): Disorder[] {
  const wrong: Disorder[] = []
  const dead = new Set<number>()
  const before: Run[] = []
  // the highest place up to there: further back there is nothing to compare with
  const highest: number[] = []
  let open: Run[] = []
  const inCall = new Set<string>()
  const callOf = ({ process, call }: Run) => `${process} ${call}`
  for (const run of runs) inCall.add(`${callOf(run)} ${run.version}`)
  // a list of changes that has failed is begun again at its first
  const failedWith = (other: Run, run: Run) => other.how !== 'done' && inCall.has(`${callOf(other)} ${run.version}`)
  for (const run of runs) {
    const index = place(run)
    open = open.filter(({ end }) => end > run.begin)
    // a dead letter that is retried comes when it comes
    if (!dead.has(index)) {
      for (const other of open) note('ran beside another', other)
      for (let at = before.length - 1; at >= 0 && (highest[at] as number) >= index; at--) {
        const other = before[at] as Run
        if (dead.has(place(other)) || open.includes(other)) continue
        if (place(other) > index) failedWith(other, run) || note('went back', other)
        else if (place(other) === index && other.how === 'done') note('repeated', other)
      }
      open.push(run)
      before.push(run)
      highest.push(Math.max(index, highest.at(-1) ?? 0))
    }
    if (run.how === 'buried') dead.add(index)

    function note(kind: Disorder['kind'], other: Run): void {
      if (callOf(other) !== callOf(run) && !excuses.allow(other, run)) wrong.push({ kind, run, other })
    }
  }
  return wrong
}
