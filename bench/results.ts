import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import { type Figure, goalSign, meetsGoal } from './benchmark.ts'
import { benchmarks } from './benchmarks.ts'
import type { Machine } from './machine.ts'
import { type Told, told } from './report.ts'

/** What one run measured of a figure. */
export type SavedRun = Pick<Told, 'value' | 'ratio'>

/** A figure of `latest.json`, with when and of which commit it was measured. */
export interface SavedFigure extends Told {
  readonly benchmark: string
  readonly date: string
  readonly commit: string
  /** The last runs of that commit, the oldest first: the figure is their median. Missing where there was only one. */
  readonly runs?: readonly SavedRun[]
}

/** The figures of one machine. */
export interface Results {
  readonly machine: Machine
  readonly figures: readonly SavedFigure[]
}

/** Where and of what figures are measured: the same for a whole run. */
export interface Run {
  readonly machine: Machine
  readonly date: string
  readonly commit: string
}

const folder = fileURLToPath(new URL('results', import.meta.url))
const file = `${folder}/latest.json`

export const readResults = (): Results => JSON.parse(readFileSync(file, 'utf8'))

/** Puts the figures of one benchmark into `latest.json`. */
export function saveFigures(run: Run, benchmark: string, figures: readonly Figure[]): void {
  const results = withMeasured(existsSync(file) ? readResults() : null, run, benchmark, figures)
  mkdirSync(folder, { recursive: true })
  writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
}

/**
 * The figures of one benchmark in place of those that it had, or as medians with them where the same code was measured.
 * Figures of another machine are dropped, for nobody could compare them, and so are those of benchmarks that there are no
 * more.
 */
export function withMeasured(
  saved: Results | null,
  { machine, date, commit }: Run,
  benchmark: string,
  figures: readonly Figure[],
): Results {
  const kept = saved !== null && isDeepStrictEqual(saved.machine, machine) ? saved.figures : []
  const measured = figures.map((figure) => {
    const before = kept.find(({ name, commit: of }) => name === figure.name && of === commit && !hasChanges(of))
    return withRunsBefore({ ...told(figure), benchmark, date, commit }, before)
  })
  const all = [...kept.filter((figure) => figure.benchmark !== benchmark), ...measured]
  const inOrder = benchmarks.flatMap(({ name }) => all.filter((figure) => figure.benchmark === name))
  return { machine, figures: inOrder }
}

/** How many runs are kept. */
const mostRuns = 3

function withRunsBefore(figure: SavedFigure, before: SavedFigure | undefined): SavedFigure {
  if (!before) return figure
  const [value, ratio] = [figure.value, figure.ratio]
  const { runs: earlier = [{ value: before.value, ratio: before.ratio }] } = before
  const runs = [...earlier, { value, ratio }].slice(-mostRuns)
  const median = medianRun(runs, goalSign(figure) === '≥')
  return { ...figure, ...median, ok: meetsGoal({ ...figure, ...median }), runs }
}

/** By their ratios; the worse one of two. */
function medianRun(runs: readonly SavedRun[], moreIsBetter: boolean): SavedRun {
  const fromWorst = runs.toSorted((a, b) => (moreIsBetter ? a.ratio - b.ratio : b.ratio - a.ratio))
  return fromWorst[Math.floor((runs.length - 1) / 2)] as SavedRun
}

/** Whether what was measured is no commit, but has been changed since. */
const hasChanges = (commit: string) => commit.endsWith('+')

/** The last commit that changed what is measured; `+` where that has been changed since. */
export function currentCommit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: new URL('..', import.meta.url), encoding: 'utf8' })
  const measured = ['packages', 'bench', ':!bench/results', ':!bench/README.md']
  const changed = git('status', '--porcelain', '--', ...measured) !== ''
  return `${git('log', '-1', '--format=%h', '--', ...measured).trim()}${changed ? '+' : ''}`
}
