import type { Connection, Pool, Queryable, ResultRow } from '../database.js'
import type { HandlerGate } from './handler-gate.js'
import { setPlan } from './plan.js'

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
  readonly first: Promise<ResultRow>
  /** Whether a statement may be sent before the ones before it are answered. */
  readonly pipelined: boolean
  /** Calls `lost` when the connection breaks while no statement runs. @returns a function that ends that. */
  onLost(lost: () => void): () => void
  /** Runs `work` with what a handler is given as `tx`; the gate decides how long that may be used. */
  lend<T>(gate: HandlerGate, work: (tx: unknown) => Promise<T>): Promise<T>
  commit(): Promise<void>
  /** Call at the end in any case: what was not committed is rolled back. */
  end(): void
}

const ignore = () => {}

/** Sends the statements of all steps at once where that can be, else each after the one before. */
export async function inTurn(
  { pipelined }: BatchTransaction,
  ...steps: readonly (() => Promise<unknown>)[]
): Promise<void> {
  if (pipelined) await Promise.all(steps.map((step) => step()))
  else for (const step of steps) await step()
}

/** Runs `work` in a transaction with the engine's plans, and commits it. */
export async function inTransaction<T>(
  source: TransactionSource,
  work: (transaction: BatchTransaction) => Promise<T>,
): Promise<T> {
  const transaction = await source.begin(`select ${setPlan}`)
  try {
    const result = await work(transaction)
    await transaction.commit()
    return result
  } finally {
    transaction.end()
  }
}

/** Transactions on connections of the engine's own pool. A server has `answerMs` milliseconds to begin and to commit. */
export function poolTransactions(pool: Pool, answerMs: number): TransactionSource {
  return { begin: (sql) => PoolTransaction.begin(pool, sql, answerMs) }
}

class PoolTransaction implements BatchTransaction {
  readonly first: Promise<ResultRow>
  readonly pipelined: boolean
  readonly #connection: Connection
  readonly #answerMs: number
  #committed = false

  private constructor(connection: Connection, answerMs: number, sql: string) {
    this.#connection = connection
    this.#answerMs = answerMs
    this.pipelined = connection.pipeline ?? false
    connection.on('error', ignore) // lost: the next statement reports it
    this.first = this.#inTime(`begin isolation level read committed; ${sql}`).then(
      (results) => (results as unknown as { rows: ResultRow[] }[]).at(-1)?.rows[0],
    )
    this.first.catch(ignore)
  }

  static async begin(pool: Pool, sql: string, answerMs: number): Promise<PoolTransaction> {
    const transaction = new PoolTransaction(await pool.connect(), answerMs, sql)
    if (transaction.pipelined) return transaction
    try {
      await transaction.first
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
    const query = (statement: string | { text: string }, values?: unknown[]) => {
      const sql = typeof statement === 'string' ? statement : statement.text
      return gate.run(sql, () => this.#connection.query(statement as string, values))
    }
    return work({ query })
  }

  async commit(): Promise<void> {
    const { command } = await this.#inTime('commit')
    // a statement before it has failed, and says why
    if (command === 'ROLLBACK') throw new Error('The transaction had failed, and was rolled back.')
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
