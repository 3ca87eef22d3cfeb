import { setTimeout as pass } from 'node:timers/promises'
import type { Database } from './database.ts'
import { updateMedia } from './media-updates.ts'

/** Milliseconds between two statements. */
const beat = 25

/** Updates the media 1 to `rows` in turn, again and again. */
export class MediaWriter {
  readonly #database: Database
  readonly #rows: number
  #next = 1
  #update = 1
  #written = 0

  constructor(database: Database, rows: number) {
    this.#database = database
    this.#rows = rows
  }

  /** How many rows were updated. */
  get written(): number {
    return this.#written
  }

  /** Updates so many rows, most often by one statement. */
  async write(count: number): Promise<void> {
    for (let left = count; left > 0; ) {
      const size = Math.min(left, this.#rows - this.#next + 1)
      await updateMedia(this.#database, this.#next, this.#next + size - 1, this.#update)
      left -= size
      this.#written += size
      this.#next += size
      if (this.#next <= this.#rows) continue
      this.#next = 1
      this.#update++
    }
  }

  /** Writes at this rate for so long, by small statements; makes up for what it could not write in time. */
  async writeFor(seconds: number, perSecond: number): Promise<void> {
    const [begun, already] = [performance.now(), this.#written]
    for (let elapsed = 0; elapsed < seconds; ) {
      await pass(beat)
      elapsed = (performance.now() - begun) / 1000
      const due = Math.round(Math.min(elapsed, seconds) * perSecond) - (this.#written - already)
      if (due > 0) await this.write(due)
    }
  }
}
