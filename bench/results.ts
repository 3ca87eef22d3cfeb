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

const file = fileURLToPath(new URL('results/latest.json', import.meta.url))

export const readResults = (): Results => JSON.parse(readFileSync(file, 'utf8'))

/**
 * Puts the figures of one benchmark into `latest.json`, in place of those that it had. Figures of another machine are
 * dropped: nobody could compare them.
 */
export function saveFigures(machine: Machine, benchmark: string, figures: readonly Figure[]): void {
  const date = new Date().toISOString().slice(0, 10)
  const commit = currentCommit()
  const measured = figures.map((figure) => ({ ...told(figure), benchmark, date, commit }))
  const others = savedOn(machine).filter((saved) => saved.benchmark !== benchmark)
  const names = benchmarks.map(({ name }) => name)
  const inOrder = names.flatMap((name) => [...others, ...measured].filter((saved) => saved.benchmark === name))
  mkdirSync(fileURLToPath(new URL('results', import.meta.url)), { recursive: true })
  writeFileSync(file, `${JSON.stringify({ machine, figures: inOrder } satisfies Results, null, 2)}\n`)
}

function savedOn(machine: Machine): readonly SavedFigure[] {
  if (!existsSync(file)) return []
  const saved = readResults()
  return isDeepStrictEqual(saved.machine, machine) ? saved.figures : []
}

/** The commit that is measured; `+` where what is measured has been changed since. */
function currentCommit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: new URL('..', import.meta.url), encoding: 'utf8' })
  const changed = git('status', '--porcelain', '--', 'packages', 'bench', ':!bench/results', ':!bench/README.md') !== ''
  return `${git('rev-parse', '--short', 'HEAD').trim()}${changed ? '+' : ''}`
}
