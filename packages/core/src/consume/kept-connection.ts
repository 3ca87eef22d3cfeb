import type { Connection } from '../database.js'

/** How long a connection is kept for what comes next, in milliseconds. */
export const keptMs = 10_000

/**
 * The connection of the last batch, kept for the next one: to take one from a pool and to give it back takes longer than a
 * claim that finds nothing. Only the engine's own are kept, of which there are enough.
 */
export class KeptConnection {
  #connection: Connection | null = null
  #timer: NodeJS.Timeout | undefined
  #ended = false
  readonly #lost = () => this.#giveBack(true)

  take(): Connection | null {
    const connection = this.#connection
    this.#connection = null
    connection?.removeListener('error', this.#lost)
    return connection
  }

  /** Keeps back what is sent on it from now on. @returns a function that sends it; null where none is kept */
  holdBack(): (() => void) | null {
    return this.#connection?.holdBack?.() ?? null
  }

  /** Keeps it, or gives it back to its pool. */
  keep(connection: Connection): void {
    if (this.#ended || this.#connection || !connection.isEngines) {
      connection.release()
      return
    }
    this.#connection = connection
    connection.on('error', this.#lost)
    this.#timer = this.#timer?.refresh() ?? setTimeout(() => this.#giveBack(false), keptMs).unref()
  }

  end(): void {
    this.#ended = true
    clearTimeout(this.#timer)
    this.#giveBack(false)
  }

  #giveBack(broken: boolean): void {
    const connection = this.#connection
    this.#connection = null
    // one that is closed may still be told why it was lost
    if (!broken) connection?.removeListener('error', this.#lost)
    connection?.release(broken)
  }
}
