import type { Connection, Pool, Queryable, ResultRow } from '../database.js'
import type { HandlerGate } from './handler-gate.js'

/** Where the transactions of batches come from: the engine's pool, or, for transactional handlers, an ORM. */
export interface TransactionSource {
  /**
   * Begins a transaction at isolation level read committed, and runs `sql`, one statement, in it. Without a round trip of
   * its own where that can be.
   */
  begin(sql: string): Promise<BatchTransaction>
}

/** The transaction of a batch. */
export interface BatchTransaction extends Queryable {
  /** The row of the statement that it began with. */
  readonly first: ResultRow
  /** Calls `lost` when the connection breaks while no statement runs. @returns a function that ends that. */
  onLost(lost: () => void): () => void
  /** Runs `work` with what a handler is given as `tx`; the gate decides how long that may be used. */
  lend<T>(gate: HandlerGate, work: (tx: unknown) => Promise<T>): Promise<T>
  commit(): Promise<void>
  /** Call at the end in any case: what was not committed is rolled back. */
  end(): void
}

const ignore = () => {}

/** Transactions on connections of the engine's own pool. A server has `answerMs` milliseconds to begin and to commit. */
export function poolTransactions(pool: Pool, answerMs: number): TransactionSource {
  return { begin: (sql) => PoolTransaction.begin(pool, sql, answerMs) }
}

class PoolTransaction implements BatchTransaction {
  first: ResultRow
  readonly #connection: Connection
  readonly #answerMs: number
  #committed = false

  private constructor(connection: Connection, answerMs: number) {
    this.#connection = connection
    this.#answerMs = answerMs
  }

  static async begin(pool: Pool, sql: string, answerMs: number): Promise<PoolTransaction> {
    const transaction = new PoolTransaction(await pool.connect(), answerMs)
    transaction.#connection.on('error', ignore) // lost: the next statement reports it
    try {
      const results = await transaction.#inTime(`begin isolation level read committed; ${sql}`)
      transaction.first = (results as unknown as { rows: ResultRow[] }[]).at(-1)?.rows[0]
      return transaction
    } catch (error) {
      transaction.end()
      throw error
    }
  }

  query(statement: never, values?: unknown[]) {
    return this.#connection.query(statement, values)
  }

  onLost(lost: () => void): () => void {
    this.#connection.on('error', lost)
    return () => this.#connection.removeListener('error', lost)
  }

  lend<T>(gate: HandlerGate, work: (tx: Queryable) => Promise<T>): Promise<T> {
    const query = (statement: never, values?: unknown[]) => gate.run(() => this.#connection.query(statement, values))
    return work({ query })
  }

  async commit(): Promise<void> {
    await this.#inTime('commit')
    this.#committed = true
  }

  #inTime(text: string) {
    return this.#connection.query({ text, values: [], query_timeout: this.#answerMs })
  }

  end(): void {
    // one that is closed may still be told why it was lost
    if (this.#committed) this.#connection.removeListener('error', ignore)
    this.#connection.release(!this.#committed)
  }
}
