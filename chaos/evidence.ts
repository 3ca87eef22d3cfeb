import type pg from 'pg'
import { readRecord, type WriterLine } from './record.ts'
import { readHistory, type WorkerHistory } from './runs.ts'
import type { Troublemaker } from './trouble.ts'
import { readEffects, readTruth } from './truth.ts'
import type { Evidence } from './verify.ts'

export interface RecordFile {
  readonly name: string
  readonly path: string
}

/** Evidence, and what became of the writers' transactions. */
export interface GatheredEvidence extends Evidence {
  readonly outcomes: { readonly [outcome in WriterLine['is']]: number }
}

/** Reads what all processes have written down, and what the audit says. */
export async function gatherEvidence(
  admin: pg.Pool,
  files: readonly RecordFile[],
  { hurts, killedAt }: Troublemaker,
): Promise<GatheredEvidence> {
  const histories = files
    .filter(({ name }) => name.startsWith('worker'))
    .map(({ name, path }) => ({ name, ...readHistory(path, name, killedAt.get(name) ?? Number.POSITIVE_INFINITY) }))
  const written = files
    .filter(({ name }) => name.startsWith('writers'))
    .flatMap(({ path }) => readRecord<WriterLine>(path))
  const count = (outcome: WriterLine['is']) => written.filter(({ is }) => is === outcome).length
  return {
    truth: await readTruth(admin),
    runs: histories.flatMap(({ runs }) => runs),
    hurts: [...hurts, ...histories.flatMap(lateness)],
    deaths: histories.flatMap(({ deaths }) => deaths),
    rolledBack: new Set(written.filter(({ is }) => is === 'rolled back').map(({ mark }) => mark)),
    effects: await readEffects(admin),
    outcomes: { committed: count('committed'), 'rolled back': count('rolled back'), unknown: count('unknown') },
  }
}

/** A process that could not run renewed no lease either. */
const lateness = ({ name, late }: WorkerHistory & { name: string }) =>
  late.map(({ from, to }) => ({ process: name, from, to, delay: true }))
