import { openSync, readFileSync, writeSync } from 'node:fs'
import { now } from './clock.ts'

/*
 * What a process has done, line by line in a file of its own. Each line is written at once and by one system call, so
 * that the file tells all, whichever way the process ends.
 */

/** What a worker writes down; `at` in microseconds. A run is one call of a handler for one change. */
export type WorkerLine =
  | {
      readonly is: 'begin'
      readonly at: number
      readonly run: number
      /** Runs of one call: the changes of a batch. */
      readonly call: number
      readonly listener: string
      readonly id: string
      readonly row: number
      readonly version: string
      readonly before: string | null
      readonly contextMark: string
      readonly attempt: number
    }
  | { readonly is: 'end'; readonly at: number; readonly run: number; readonly how: RunEnd }
  /** The engine tells that the batch has committed. */
  | { readonly is: 'committed'; readonly at: number; readonly listener: string; readonly id: string }
  | { readonly is: 'dead'; readonly at: number; readonly listener: string; readonly id: string; readonly error: string }
  /** The engine tells of an error in the background. For whoever reads the file. */
  | { readonly is: 'error'; readonly at: number; readonly listener: string; readonly error: string }
  /** The process could not run for a while. */
  | { readonly is: 'late'; readonly at: number; readonly since: number }

/** `buried`: the handler said that it is hopeless; `aborted`: its signal aborted. */
export type RunEnd = 'done' | 'failed' | 'buried' | 'aborted'

/** What became of a writer's transaction; `unknown`: its connection was lost before the answer came. */
export interface WriterLine {
  readonly is: 'committed' | 'rolled back' | 'unknown'
  readonly mark: string
}

type Timed<L> = L extends { readonly at: number } ? Omit<L, 'at'> : L

export class Record<Line extends object> {
  readonly #file: number

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  write(line: Timed<Line>): void {
    writeSync(this.#file, `${JSON.stringify({ at: now(), ...line })}\n`)
  }
}

/** The lines of a file. The last one may be cut off where its process was killed while writing it. */
export function readRecord<Line>(path: string): Line[] {
  const lines = readFileSync(path, 'utf8').split('\n')
  lines.pop()
  return lines.map((line) => JSON.parse(line) as Line)
}
