import type { Connection, Pool, QueryResult } from '../database.js'

/**
 * A pool as one worker uses it, which knows the connections that the worker holds: so that a worker that is told to stop
 * can give them up where the server does not answer. Their transactions are rolled back then, and nothing is lost.
 */
export class HeldConnections implements Pool {
  readonly #pool: Pool
  /** How to close each of them. */
  readonly #held = new Map<Connection, () => void>()
  /** How to tell those that wait for one. */
  readonly #waiting = new Set<(reason: Error) => void>()
  #givenUp = false

  constructor(pool: Pool) {
    this.#pool = pool
  }

  async connect(): Promise<Connection> {
    if (this.#givenUp) throw noAnswer()
    return await new Promise((resolve, reject) => {
      this.#waiting.add(reject)
      this.#pool.connect().then(
        (connection) => {
          if (this.#waiting.delete(reject)) resolve(this.#hold(connection))
          else connection.release()
        },
        (error) => {
          this.#waiting.delete(reject)
          reject(error)
        },
      )
    })
  }

  async query(statement: unknown, values?: unknown[]): Promise<QueryResult> {
    const connection = await this.connect()
    connection.on('error', ignore) // lost: the statement reports it
    let broken = true
    try {
      const result = await connection.query(statement as string, values)
      broken = false
      return result
    } finally {
      // one that has not answered in time must not be used again, and may still be told why it was lost
      if (!broken) connection.removeListener('error', ignore)
      connection.release(broken)
    }
  }

  end(): Promise<void> {
    return this.#pool.end()
  }

  /** Closes what the worker holds: whoever waits for an answer, or for a connection, fails at once. */
  giveUp(): void {
    this.#givenUp = true
    for (const reject of this.#waiting) reject(noAnswer())
    this.#waiting.clear()
    for (const close of this.#held.values()) close()
    this.#held.clear()
  }

  #hold(connection: Connection): Connection {
    const { release } = connection
    this.#held.set(connection, () => release.call(connection, true))
    // once it is given up, its batch still releases it
    connection.release = (destroy) => {
      if (!this.#held.delete(connection)) return
      connection.release = release
      release.call(connection, destroy)
    }
    return connection
  }
}

const ignore = () => {}

const noAnswer = () => new Error('The worker has stopped: the database did not answer in time.')
