import { openSync, readFileSync, writeSync } from 'node:fs'

/** What happened to an attempt: it has begun, its handler has returned, its handler has thrown. */
const attemptEvents = ['begun', 'done', 'failed'] as const

export interface AttemptEvent {
  /** Nanoseconds of the clock that all processes of a machine share. */
  readonly at: bigint
  readonly event: (typeof attemptEvents)[number]
  readonly row: number
  /** Which change of the row: 1 is the first. */
  readonly change: number
  readonly attempt: number
}

/** Of each event in the file. */
export const attemptBytes = 16

/** Writes what happens in a process to a file. What it has written is there, also when the process is killed at once. */
export class AttemptLog {
  readonly #file: number
  readonly #entry = Buffer.alloc(attemptBytes)

  constructor(path: string) {
    this.#file = openSync(path, 'a')
  }

  write({ event, row, change, attempt }: Omit<AttemptEvent, 'at'>): void {
    const entry = this.#entry
    entry.writeBigUInt64LE(process.hrtime.bigint(), 0)
    entry.writeUInt16LE(row, 8)
    entry.writeUInt16LE(change, 10)
    entry.writeUInt16LE(attempt, 12)
    entry.writeUInt8(attemptEvents.indexOf(event), 14)
    writeSync(this.#file, entry)
  }
}

export function readAttemptLog(path: string): AttemptEvent[] {
  const file = readFileSync(path)
  return Array.from({ length: Math.floor(file.length / attemptBytes) }, (_, index) => {
    const entry = file.subarray(index * attemptBytes)
    return {
      at: entry.readBigUInt64LE(0),
      row: entry.readUInt16LE(8),
      change: entry.readUInt16LE(10),
      attempt: entry.readUInt16LE(12),
      event: attemptEvents[entry.readUInt8(14)] as AttemptEvent['event'],
    }
  })
}
