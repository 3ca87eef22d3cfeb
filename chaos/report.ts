import type { GatheredEvidence } from './evidence.ts'
import { listenerNames } from './listeners.ts'
import type { Troublemaker } from './trouble.ts'

export interface Report {
  readonly seed: number
  readonly minutes: number
  /** Committed changes. */
  readonly changes: number
  /** Transactions and savepoints that writers rolled back. */
  readonly rolledBack: number
  /** Transactions whose writers lost their connection before they were answered. */
  readonly unknown: number
  /** Handler calls that ended well. */
  readonly handled: number
  /** Those of them that were not the first of their change. */
  readonly repeats: number
  readonly deadLetters: number
  readonly kills: number
  readonly terminations: number
  readonly freezes: number
  readonly cuts: number
  readonly restarts: number
  /** Milliseconds from the commit until a handler was done with the change, where it never was a dead letter. */
  readonly medianMs: { readonly [listener: string]: number }
  readonly slowestMs: number
  /** Which one that was: its listener, version and row. */
  readonly slowest: string
  /** How long it took to come to rest. */
  readonly drainMs: number
  readonly slowestWakeUpMs: number
  /** Where the records of all processes were kept: as asked, or where something was violated. */
  readonly folder: string | null
  readonly violations: readonly string[]
}

export interface Findings extends Pick<Report, 'seed' | 'minutes' | 'violations' | 'drainMs' | 'slowestWakeUpMs'> {
  readonly evidence: GatheredEvidence
  readonly counts: Troublemaker['counts']
  /** What is to be added to the clock of the records for microseconds since 1970. */
  readonly epoch: number
  readonly folder: string | null
}

export function reportOf({ seed, minutes, evidence, counts, violations, epoch, folder, ...times }: Findings): Report {
  const done = evidence.runs.filter(({ how }) => how === 'done')
  const firstDone = new Map<string, number>()
  for (const { listener, version, end } of done) {
    const key = `${listener} ${version}`
    firstDone.set(key, Math.min(end, firstDone.get(key) ?? Number.POSITIVE_INFINITY))
  }
  const waited = waits(evidence, firstDone, epoch)
  const slowest = waited.at(-1)
  return {
    seed,
    minutes,
    changes: evidence.truth.length,
    rolledBack: evidence.outcomes['rolled back'],
    unknown: evidence.outcomes.unknown,
    handled: done.length,
    repeats: done.length - firstDone.size,
    deadLetters: evidence.deaths.length,
    ...counts,
    medianMs: Object.fromEntries(listenerNames.map((name) => [name, medianOf(waited, name)])),
    slowestMs: rounded(slowest?.ms ?? 0),
    slowest: slowest?.of ?? '',
    drainMs: times.drainMs,
    slowestWakeUpMs: rounded(times.slowestWakeUpMs),
    folder,
    violations,
  }
}

/** From commit to done, the longest last. */
function waits({ truth, runs }: GatheredEvidence, firstDone: ReadonlyMap<string, number>, epoch: number) {
  const dead = new Set(runs.filter(({ how }) => how === 'buried').map(({ version }) => version))
  return truth
    .filter(({ version }) => !dead.has(version))
    .flatMap(({ version, row, committedAt }) =>
      listenerNames.flatMap((name) => {
        const done = firstDone.get(`${name} ${version}`)
        return done === undefined
          ? []
          : { ms: (done + epoch - committedAt) / 1000, listener: name, of: `${name} ${version} of row ${row}` }
      }),
    )
    .sort((a, b) => a.ms - b.ms)
}

function medianOf(waited: readonly { readonly ms: number; readonly listener: string }[], name: string): number {
  const own = waited.filter(({ listener }) => listener === name)
  return rounded(own[Math.floor(own.length / 2)]?.ms ?? 0)
}

const rounded = (ms: number) => Number(ms.toFixed(1))

/** For people: figures, and the first of what was violated. */
export function textOf({ violations, folder, ...figures }: Report): string {
  const lines = Object.entries(figures).map(
    ([name, value]) =>
      `${name.padEnd(16)} ${typeof value === 'object' ? JSON.stringify(value) : value.toLocaleString('en')}`,
  )
  if (violations.length === 0) return [...lines, 'Nothing was violated.'].join('\n')
  const shown = violations.slice(0, 20).map((violation) => `  ${violation}`)
  const more = violations.length > 20 ? [`  … and ${violations.length - 20} more`] : []
  return [...lines, `VIOLATED, ${violations.length} times; the records are in ${folder}:`, ...shown, ...more].join('\n')
}
