import { type RunEnd, readRecord, type WorkerLine } from './record.ts'
import type { TrueChange } from './truth.ts'

/** One call of a handler for one change. Times in microseconds. */
export interface Run {
  /** The incarnation of a worker that it ran in. */
  readonly process: string
  readonly call: number
  readonly listener: string
  readonly row: number
  readonly version: string
  readonly before: string | null
  readonly contextMark: string
  readonly begin: number
  /** When it ended, or its process was killed. */
  end: number
  how: RunEnd | 'killed'
  /** The engine has told that the batch committed. */
  committed: boolean
}

export interface WorkerHistory {
  readonly runs: Run[]
  readonly deaths: { readonly listener: string; readonly error: string }[]
  /** When the process could not run. */
  readonly late: { readonly from: number; readonly to: number }[]
}

/** What an incarnation of a worker has written down. @param killedAt Infinity where it ended by itself */
export function readHistory(path: string, process: string, killedAt: number): WorkerHistory {
  const byNumber = new Map<number, Run>()
  const byNotification = new Map<string, Run>()
  const history: WorkerHistory = { runs: [], deaths: [], late: [] }
  for (const line of readRecord<WorkerLine>(path)) {
    switch (line.is) {
      case 'begin': {
        const { at: begin, run: number, is: _, id, attempt: __, ...of } = line
        const run: Run = { ...of, process, begin, end: killedAt, how: 'killed', committed: false }
        byNumber.set(number, run)
        byNotification.set(`${line.listener} ${id}`, run)
        history.runs.push(run)
        break
      }
      case 'end': {
        const run = byNumber.get(line.run) as Run
        run.end = line.at
        run.how = line.how
        byNumber.delete(line.run)
        break
      }
      case 'committed': {
        const run = byNotification.get(`${line.listener} ${line.id}`)
        if (run) run.committed = true
        break
      }
      case 'error':
        break
      case 'dead':
        history.deaths.push(line)
        break
      case 'late':
        history.late.push({ from: line.since, to: line.at })
    }
  }
  return history
}

/** The runs of one listener for each row, in the order in which they began, with the changes that the row really had. */
export function byRow(runs: readonly Run[], truth: readonly TrueChange[]) {
  const rows = new Map<number, { changes: Map<string, number>; runs: Run[] }>()
  for (const { row, version } of truth) {
    const known = rows.get(row) ?? { changes: new Map(), runs: [] }
    rows.set(row, known)
    known.changes.set(version, known.changes.size)
  }
  for (const run of runs) rows.get(run.row)?.runs.push(run)
  for (const row of rows.values()) row.runs.sort((a, b) => a.begin - b.begin)
  return rows
}
