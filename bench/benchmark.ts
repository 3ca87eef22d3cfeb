/** One printed result. `ratio` is `value` divided by what `against` reached in the same run on the same server. */
export interface Figure {
  readonly name: string
  readonly value: number
  readonly unit: string
  /** The peer or the floor: who, or what, was measured beside it. */
  readonly against: string
  readonly ratio: number
  /** The highest ratio that is promised, where one is. */
  readonly goal?: number
}

/** What a benchmark is given. */
export interface Stage {
  /** Connection string of the server's maintenance database. */
  readonly serverUrl: string
  /** How often both sides are measured; the median counts. */
  readonly rounds: number
  /** Chooses the size of this run: `full`, or `quick` with `--quick`, both shrunk by `--scale`. */
  size(full: number, quick: number): number
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
