import type { Stage } from './benchmark.ts'
import { medianOf } from './statistics.ts'

/** What both sides reached, as medians over the rounds. The ratio is the median of each round's own ratio. */
export interface Comparison {
  readonly ours: number
  readonly theirs: number
  readonly ratio: number
}

type Side = () => Promise<number>

export interface Sides {
  readonly ours: Side
  readonly theirs: Side
}

/**
 * Measures both sides in turn, round by round, and lets the other one begin in every second round: what disturbs the
 * machine for a while then disturbs both.
 */
export async function compare(stage: Stage, { ours, theirs }: Sides, unit: string): Promise<Comparison> {
  const [compared] = await compareAll(stage, [ours], theirs, unit)
  return compared as Comparison
}

/** The same for several sides, each against `theirs` of its round. */
export async function compareAll(
  stage: Stage,
  sides: readonly Side[],
  theirs: Side,
  unit: string,
): Promise<Comparison[]> {
  const rounds: number[][] = []
  for (let round = 0; round < stage.rounds; round++) {
    const reached = await oneRound([...sides, theirs], round % 2 === 0)
    const told = reached.map((value) => value.toPrecision(4))
    stage.progress(
      `round ${round + 1} of ${stage.rounds}: ${told.slice(0, -1).join(', ')} ${unit}, against ${told.at(-1)}`,
    )
    rounds.push(reached)
  }
  const theirsOf = (round: number[]) => round.at(-1) as number
  return sides.map((_, side) => ({
    ours: medianOf(rounds.map((round) => round[side] as number)),
    theirs: medianOf(rounds.map(theirsOf)),
    ratio: medianOf(rounds.map((round) => (round[side] as number) / theirsOf(round))),
  }))
}

/** @returns what each side reached, in the order of the sides, whichever began */
async function oneRound(sides: readonly Side[], firstBegins: boolean): Promise<number[]> {
  const reached: number[] = []
  for (const side of firstBegins ? sides : sides.toReversed()) reached.push(await side())
  return firstBegins ? reached : reached.reverse()
}
