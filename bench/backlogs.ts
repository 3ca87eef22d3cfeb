import type { Database } from './database.ts'
import { backlogOf } from './media-updates.ts'

/** The backlogs that the benchmarks of one run share: storing a million takes longer than draining it. */
export class Backlogs implements AsyncDisposable {
  readonly #serverUrl: string
  readonly #stored = new Map<number, Promise<Database>>()

  constructor(serverUrl: string) {
    this.#serverUrl = serverUrl
  }

  /** To be copied, not to be connected to. */
  of(size: number, progress: (text: string) => void): Promise<Database> {
    const stored = this.#stored.get(size) ?? this.#store(size, progress)
    this.#stored.set(size, stored)
    return stored
  }

  async #store(size: number, progress: (text: string) => void): Promise<Database> {
    progress(`storing ${size.toLocaleString('en')} changes`)
    const database = await backlogOf(this.#serverUrl, size)
    await database.disconnect()
    return database
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const stored of this.#stored.values()) await (await stored.catch(() => null))?.[Symbol.asyncDispose]()
  }
}
