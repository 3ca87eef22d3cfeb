import { appendFile, readFile } from 'node:fs/promises'
import { scanLog } from './settings.ts'

/** One line of the scan log: who scanned what, for whom, and how long after it was written. */
export interface Scan {
  readonly id: number
  readonly title: string | null
  readonly virus: string | null
  readonly context: { readonly user?: string }
  readonly milliseconds: number
  /** Process id of the worker. */
  readonly worker: number
}

/** Appends one line; lines of several workers do not mix. */
export async function logScan(scan: Omit<Scan, 'worker'>): Promise<void> {
  await appendFile(scanLog, `${JSON.stringify({ ...scan, worker: process.pid })}\n`)
}

export async function readScans(file = scanLog): Promise<Scan[]> {
  const text = await readFile(file, { encoding: 'utf8', flag: 'a+' })
  return text.split('\n').flatMap((line) => (line ? [JSON.parse(line)] : []))
}
