import Table from 'cli-table3'
import type { Scan } from '../scan-log.ts'
import type { Way } from './uploads.ts'
import type { Evidence } from './verify.ts'

/** One line for each way to write: what was written, what was handled, in which context and how fast. */
export function resultTable(ways: readonly Way[], evidence: Evidence): string {
  const table = new Table({
    head: ['write', 'uploaded', 'committed', 'handled', 'infected', 'context', 'median', 'slowest'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'left', 'right', 'right'],
    chars: { mid: '', 'left-mid': '', 'mid-mid': '', 'right-mid': '' },
    style: process.stdout.isTTY ? { head: ['bold'], border: ['gray'] } : { head: [], border: [] },
  })
  table.push(...ways.map((way) => line(way, evidence)))
  return table.toString()
}

function line({ write, files }: Way, { rows, scans }: Evidence): string[] {
  const names = new Set(files.map(({ name }) => name))
  const isOurs = ({ title }: { title: string | null }) => title !== null && names.has(title)
  const handled = scans.filter(isOurs)
  const times = handled.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b)
  const infected = handled.filter(({ virus }) => virus)
  return [
    write,
    ...[files, rows.filter(isOurs), handled, infected].map(({ length }) => length.toLocaleString('en')),
    contextsOf(handled),
    duration(times[Math.floor(times.length / 2)]),
    duration(times.at(-1)),
  ]
}

const contextsOf = (scans: readonly Scan[]) =>
  [...new Set(scans.map(({ context }) => JSON.stringify(context)))].join(' ') || '–'

const duration = (milliseconds: number | undefined) => (milliseconds === undefined ? '–' : `${milliseconds} ms`)
