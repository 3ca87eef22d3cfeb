import type { Database } from './database.ts'

/** What figures are told in, and whether more of it is better. */
const moreIsBetter = {
  'changes/s': true,
  'rows/s': true,
  'hashes/s': true,
  tps: true,
  s: false,
  ms: false,
  µs: false,
  MB: false,
  kB: false,
  rows: false,
} as const

export type Unit = keyof typeof moreIsBetter

/** One printed result. `ratio` is `value` divided by what `against` reached in the same run on the same server. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: Unit
  /** The peer or the floor: who, or what, was measured beside it. */
  readonly against: string
  readonly ratio: number
  /** The ratio that is promised, where one is: at least that, or, where less of the unit is better, at most. */
  readonly goal?: number | undefined
}

/** In which direction a ratio has to be from its goal. */
export const goalSign = ({ unit }: Pick<Figure, 'unit'>) => (moreIsBetter[unit] ? '≥' : '≤')

/** Whether a ratio is as good as promised; null where nothing is. */
export function meetsGoal(
  figure: Pick<Figure, 'unit' | 'ratio'> & { goal?: number | null | undefined },
): boolean | null {
  const { ratio, goal = null } = figure
  if (goal === null) return null
  return goalSign(figure) === '≥' ? ratio >= goal : ratio <= goal
}

/** What a benchmark is given. */
export interface Stage {
  /** Connection string of the server's maintenance database. */
  readonly serverUrl: string
  /** How often both sides are measured; the median counts. */
  readonly rounds: number
  /** Chooses the size of this run: `full`, or `quick` with `--quick`, both shrunk by `--scale`. */
  size(full: number, quick: number): number
  /**
   * A database in which one update of each of the media 1 to `size` waits to be handled. The benchmarks of a run share it,
   * and measure on copies.
   */
  backlog(size: number): Promise<Database>
  /** Tells whoever waits what is being done. */
  progress(text: string): void
}

/** A measurement that checks its own result, and throws where it is wrong. */
export interface Benchmark {
  readonly name: string
  /** One line for `--help`. */
  readonly about: string
  run(stage: Stage): Promise<Figure[]>
}
