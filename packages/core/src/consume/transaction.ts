import type { Connection, Pool, Queryable, ResultRow } from '../database.js'
import type { HandlerGate } from './handler-gate.js'
import { setPlan } from './plan.js'
import { Statement } from './statement.js'

/** Where the transactions of batches come from: the engine's pool, or, for transactional handlers, an ORM. */
export interface TransactionSource {
  /**
   * Begins a transaction at isolation level read committed, and runs `sql`, one statement, in it. Without a round trip of
   * its own where that can be.
   * @param after whose commit has been sent: on its connection, right behind that, where it can still be had
   */
  begin(sql: string, after?: BatchTransaction | null): Promise<BatchTransaction>
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
  /** Its connection, for the transaction that follows; this one's commit has been sent. Null where it cannot be had. */
  handOver(): Connection | null
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
  const prologues = new Map<string, Statement>()
  const prologue = (sql: string) => {
    const statement = prologues.get(sql) ?? new Statement(sql, { prepared: true, answerMs })
    prologues.set(sql, statement)
    return statement
  }
  return {
    begin: async (sql, after) =>
      PoolTransaction.begin(after?.handOver() ?? (await pool.connect()), sql, prologue(sql), answerMs),
  }
}

const begin = 'begin isolation level read committed'

class PoolTransaction implements BatchTransaction {
  readonly first: Promise<ResultRow>
  readonly pipelined: boolean
  readonly #connection: Connection
  readonly #answerMs: number
  #committed = false
  /** It has ended, or the connection is another transaction's. */
  #isOver = false

  private constructor(connection: Connection, sql: string, prologue: Statement, answerMs: number) {
    this.#connection = connection
    this.#answerMs = answerMs
    this.pipelined = connection.pipeline ?? false
    connection.on('error', ignore) // lost: the next statement reports it
    this.first = this.pipelined ? this.#beginAtOnce(prologue) : this.#begin(sql)
    this.first.catch(ignore)
  }

  static async begin(
    connection: Connection,
    sql: string,
    prologue: Statement,
    answerMs: number,
  ): Promise<PoolTransaction> {
    const transaction = new PoolTransaction(connection, sql, prologue, answerMs)
    if (transaction.pipelined) return transaction
    try {
      await transaction.first
      return transaction
    } catch (error) {
      transaction.end()
      throw error
    }
  }

  async #beginAtOnce(prologue: Statement): Promise<ResultRow> {
    const [, { rows }] = await Promise.all([this.#inTime(begin), prologue.run(this.#connection, [])])
    return rows[0]
  }

  /** What is not prepared can be sent together. */
  async #begin(sql: string): Promise<ResultRow> {
    const results = (await this.#inTime(`${begin}; ${sql}`)) as unknown as { rows: ResultRow[] }[]
    return results.at(-1)?.rows[0]
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

  handOver(): Connection | null {
    if (this.#isOver || !this.pipelined) return null
    this.#isOver = true
    this.#connection.removeListener('error', ignore)
    return this.#connection
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    // one that is closed may still be told why it was lost
    if (this.#committed) this.#connection.removeListener('error', ignore)
    this.#connection.release(!this.#committed)
  }
}
