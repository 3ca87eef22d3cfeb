import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'
import type { Figure } from './benchmark.ts'
import { benchmarks } from './benchmarks.ts'
import type { Machine } from './machine.ts'
import { type Told, told } from './report.ts'

/** A figure of `latest.json`, with when and of which commit it was measured. */
export interface SavedFigure extends Told {
  readonly benchmark: string
  readonly date: string
  readonly commit: string
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
 * The figures of one benchmark in place of those that it had. Figures of another machine are dropped, for nobody could
 * compare them, and so are those of benchmarks that there are no more.
 */
export function withMeasured(
  saved: Results | null,
  { machine, date, commit }: Run,
  benchmark: string,
  figures: readonly Figure[],
): Results {
  const kept = saved !== null && isDeepStrictEqual(saved.machine, machine) ? saved.figures : []
  const all = [
    ...kept.filter((figure) => figure.benchmark !== benchmark),
    ...figures.map((figure) => ({ ...told(figure), benchmark, date, commit })),
  ]
  const inOrder = benchmarks.flatMap(({ name }) => all.filter((figure) => figure.benchmark === name))
  return { machine, figures: inOrder }
}

/** The commit that is measured; `+` where what is measured has been changed since. */
export function currentCommit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: new URL('..', import.meta.url), encoding: 'utf8' })
  const measured = ['packages', 'bench', ':!bench/results', ':!bench/README.md']
  const changed = git('status', '--porcelain', '--', ...measured) !== ''
  return `${git('rev-parse', '--short', 'HEAD').trim()}${changed ? '+' : ''}`
}
