import type { Stage } from './benchmark.ts'
import { medianOf } from './statistics.ts'

/** What both sides reached, as medians over the rounds. The ratio is the median of each round's own ratio. */
export interface Comparison {
  readonly ours: number
  readonly theirs: number
  readonly ratio: number
}

export interface Sides {
  ours(): Promise<number>
  theirs(): Promise<number>
}

/**
 * Measures both sides in turn, round by round, and lets the other one begin in every second round: what disturbs the
 * machine for a while then disturbs both.
 */
export async function compare(stage: Stage, sides: Sides, unit: string): Promise<Comparison> {
  const rounds: { ours: number; theirs: number }[] = []
  for (let round = 0; round < stage.rounds; round++) {
    const reached = await oneRound(sides, round % 2 === 0)
    const [ours, theirs] = [reached.ours, reached.theirs].map((value) => value.toPrecision(4))
    stage.progress(`round ${round + 1} of ${stage.rounds}: ${ours} ${unit}, against ${theirs}`)
    rounds.push(reached)
  }
  return {
    ours: medianOf(rounds.map(({ ours }) => ours)),
    theirs: medianOf(rounds.map(({ theirs }) => theirs)),
    ratio: medianOf(rounds.map(({ ours, theirs }) => ours / theirs)),
  }
}

async function oneRound(sides: Sides, oursFirst: boolean) {
  if (oursFirst) {
    const ours = await sides.ours()
    return { ours, theirs: await sides.theirs() }
  }
  const theirs = await sides.theirs()
  return { ours: await sides.ours(), theirs }
}
