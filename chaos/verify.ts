import { Excuses, type Hurt } from './excuses.ts'
import { kindOf, listenerNames } from './listeners.ts'
import { disorderOf } from './order.ts'
import { byRow, type Run } from './runs.ts'
import type { TrueChange } from './truth.ts'

/** All that is known when everything has come to rest. */
export interface Evidence {
  readonly truth: readonly TrueChange[]
  readonly runs: readonly Run[]
  readonly hurts: readonly Hurt[]
  readonly deaths: readonly { readonly listener: string; readonly error: string }[]
  /** Marks of what writers have rolled back. */
  readonly rolledBack: ReadonlySet<string>
  /** How often a transactional listener's effect for a version was committed, by `listener version`. */
  readonly effects: ReadonlyMap<string, number>
}

/** Says what was promised and not kept: one line each. */
export function violationsOf(evidence: Evidence): string[] {
  const excuses = new Excuses(evidence.hurts, (name) => kindOf(name).leased)
  const found = [...truthful(evidence), ...expectedDeaths(evidence)]
  for (const name of listenerNames) {
    const runs = evidence.runs.filter(({ listener }) => listener === name)
    const kind = kindOf(name)
    found.push(...complete(name, runs, evidence.truth))
    found.push(...(kind.ordered ? inOrder(runs, evidence.truth, excuses) : onlyOnce(runs, excuses)))
    if (kind.transactional) found.push(...exactEffects(name, evidence))
  }
  return found
}

/** Nothing was handled that did not commit, nor with another content or context than it had. */
function truthful({ truth, runs, rolledBack }: Evidence): string[] {
  const changes = new Map(truth.map((change) => [change.version, change]))
  const found: string[] = truth
    .filter(({ mark }) => rolledBack.has(mark))
    .map(({ mark }) => `the audit itself has ${mark}, which was rolled back`)
  for (const run of runs) {
    const change = changes.get(run.version)
    if (!change) found.push(`${text(run)} never committed`)
    else if (change.before !== run.before) found.push(`${text(run)} had ${run.before} before, not ${change.before}`)
    else if (change.row !== run.row) found.push(`${text(run)} is of row ${change.row}`)
    else if (change.contextMark !== run.contextMark) {
      found.push(`${text(run)} was given the context of "${run.contextMark}" instead of "${change.contextMark}"`)
    }
  }
  return found
}

function complete(listener: string, runs: readonly Run[], truth: readonly TrueChange[]): string[] {
  const done = new Set(runs.filter(({ how }) => how === 'done').map(({ version }) => version))
  return truth
    .filter(({ version }) => !done.has(version))
    .map(({ version, row, mark }) => `${listener}: ${version} of row ${row}, written by ${mark}, was never handled`)
}

function inOrder(runs: readonly Run[], truth: readonly TrueChange[], excuses: Excuses): string[] {
  return [...byRow(runs, truth).values()].flatMap((row) =>
    disorderOf(row.runs, row.changes, excuses).map(
      ({ kind, run, other }) => `${text(run)} ${kind}${other ? `: ${text(other)}` : ''}`,
    ),
  )
}

function onlyOnce(runs: readonly Run[], excuses: Excuses): string[] {
  const byVersion = new Map<string, Run[]>()
  for (const run of runs) byVersion.set(run.version, [...(byVersion.get(run.version) ?? []), run])
  return [...byVersion].flatMap(([version, same]) => {
    same.sort((a, b) => a.begin - b.begin)
    return disorderOf(same, new Map([[version, 0]]), excuses).map(
      ({ kind, run, other }) => `${text(run)} ${kind}${other ? `: ${text(other)}` : ''}`,
    )
  })
}

function exactEffects(listener: string, { truth, effects }: Evidence): string[] {
  return truth.flatMap(({ version }) => {
    const times = effects.get(`${listener} ${version}`) ?? 0
    return times === 1 ? [] : [`${listener}: the effect of ${version} was committed ${times} times`]
  })
}

function expectedDeaths({ deaths }: Evidence): string[] {
  return deaths
    .filter(({ error }) => !error.includes('hopeless for now'))
    .map(({ listener, error }) => `${listener}: an unexpected dead letter: ${error}`)
}

const text = ({ listener, row, version, process, how, begin, end }: Run) =>
  `${listener}: ${version} of row ${row} in ${process} (${how}, ${(begin / 1000).toFixed(1)}–${(end / 1000).toFixed(1)} ms)`
