import type { Carrier, Connection, MayCarry, Pool, Queryable, ResultRow } from '../database.js'
import type { HandlerGate } from './handler-gate.js'
import { KeptConnection } from './kept-connection.js'
import { setForSession, setForTransaction } from './plan.js'
import { Statement } from './statement.js'

/** What a transaction begins with. */
export interface Beginning {
  /** One statement, which also makes the settings of a batch. */
  readonly sql: string
  /** What it asks, alone: where the connection has the settings already. Null where it does more than that. */
  readonly look: string | null
}

/** Where the transactions of batches come from: the engine's pool, or, for transactional handlers, an ORM. */
export interface TransactionSource {
  /**
   * Begins a transaction at isolation level read committed, and runs the statement in it. Without a round trip of its own
   * where that can be.
   * @param after whose commit has been sent: on its connection, right behind that, where it can still be had
   */
  begin(beginning: Beginning, after?: BatchTransaction | null): Promise<BatchTransaction>
  /**
   * Keeps back what the next transaction sends. @returns a function that sends it, to be called in any case; null where there is
   * no connection at hand for it
   */
  holdBack?(): (() => void) | null
  /** Call when no other transaction is going to begin. */
  end?(): void
}

/** A connection with a transaction whose commit has been sent, and the one that was begun behind it, if any. */
export interface HandedOver {
  readonly connection: Connection
  readonly begun: Promise<unknown> | null
}

/** The transaction of a batch. */
export interface BatchTransaction extends Queryable, MayCarry {
  /** Fulfilled when it has begun. What is sent before is to be believed only then. */
  readonly begun: Promise<unknown>
  /** The row of the statement that it began with; asked for now, where it has not been yet. */
  readonly first: Promise<ResultRow>
  /** Whether a statement may be sent before the ones before it are answered. */
  readonly pipelined: boolean
  /** Calls `lost` when the connection breaks while no statement runs. @returns a function that ends that. */
  onLost(lost: () => void): () => void
  /** Runs `work` with what a handler is given as `tx`; the gate decides how long that may be used. */
  lend<T>(gate: HandlerGate, work: (tx: unknown) => Promise<T>): Promise<T>
  /** @param thenBegin another is going to follow at once, see {@link handOver} */
  commit(thenBegin?: boolean): Promise<void>
  /** Its connection, for the transaction that follows; this one's commit has been sent. Null where it cannot be had. */
  handOver(): HandedOver | null
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
  const transaction = await source.begin({ sql: `select ${setForTransaction}`, look: 'select' })
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
  const prepared = new Map<string, Statement>()
  const statement = (sql: string) => {
    const known = prepared.get(sql) ?? new Statement(sql, { prepared: true, answerMs })
    prepared.set(sql, known)
    return known
  }
  const kept = new KeptConnection()
  const sending = { statement, answerMs, kept }
  return {
    begin: async (beginning, after) => {
      const on = after?.handOver() ?? { connection: kept.take() ?? (await pool.connect()), begun: null }
      return PoolTransaction.begin(on, beginning, sending)
    },
    holdBack: () => kept.holdBack(),
    end: () => kept.end(),
  }
}

const begin = 'begin isolation level read committed'

/** Connections that have the settings of a batch for as long as they last. */
const withSettings = new WeakSet<Connection>()

/** When it is lost, the next statement says so. Of its own ones the engine's pool keeps that up by itself. */
const ignoreLoss = (connection: Connection) => !connection.isEngines && connection.on('error', ignore)
const heedLoss = (connection: Connection) => !connection.isEngines && connection.removeListener('error', ignore)

interface Sending {
  readonly statement: (sql: string) => Statement
  readonly answerMs: number
  readonly kept: KeptConnection
}

/**
 * On a connection that is the engine's alone, and pipelined, a batch is one question and one answer: the claim, and in front
 * of it the end of the batch before, which is the delete and the commit, and the begin. Else the settings are made in each
 * transaction, with what it begins by asking.
 */
class PoolTransaction implements BatchTransaction {
  readonly begun: Promise<unknown>
  readonly pipelined: boolean
  readonly #connection: Connection
  readonly #sending: Sending
  /** What to ask where nothing has been asked yet. */
  readonly #look: string | null
  /** Sends what needs no answer of its own in front of what follows. */
  readonly carry: Carrier['carry'] | undefined
  #first: Promise<ResultRow> | null
  #next: Promise<unknown> | null = null
  #committed = false
  /** It has ended, or the connection is another transaction's. */
  #isOver = false

  private constructor({ connection, begun }: HandedOver, { sql, look }: Beginning, sending: Sending) {
    this.#connection = connection
    this.#sending = sending
    this.pipelined = connection.pipeline ?? false
    ignoreLoss(connection)
    this.#look = connection.isEngines && this.pipelined ? look : null
    if (this.#look !== null) this.carry = (statement) => (connection as Carrier).carry(statement)
    this.#first = this.#look === null ? this.#beginWith(sql, begun) : null
    this.begun = this.#first ?? this.#beginAlone(begun)
    this.begun.catch(ignore)
  }

  static async begin(on: HandedOver, beginning: Beginning, sending: Sending): Promise<PoolTransaction> {
    const transaction = new PoolTransaction(on, beginning, sending)
    if (transaction.pipelined) return transaction
    try {
      await transaction.begun
      return transaction
    } catch (error) {
      transaction.end()
      throw error
    }
  }

  get first(): Promise<ResultRow> {
    this.#first ??= this.#ask(this.#look as string)
    return this.#first
  }

  async #ask(sql: string): Promise<ResultRow> {
    const { rows } = await this.#sending.statement(sql).run(this.#connection, [])
    return rows[0]
  }

  async #beginAlone(begun: Promise<unknown> | null): Promise<void> {
    const isNew = !withSettings.has(this.#connection)
    withSettings.add(this.#connection)
    await Promise.all([isNew && this.#ask(setForSession), begun ?? this.#carried(begin)])
  }

  async #beginWith(sql: string, begun: Promise<unknown> | null): Promise<ResultRow> {
    if (this.pipelined) {
      const [, row] = await Promise.all([begun ?? this.#inTime(begin), this.#ask(sql)])
      return row
    }
    // what is not prepared can be sent together
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

  async commit(thenBegin = false): Promise<void> {
    const done = this.#carried('commit')
    if (thenBegin && this.carry) {
      this.#next = this.#carried(begin)
      this.#next.catch(ignore) // whoever begins with it is told
    }
    // a statement before it has failed, and says why
    if ((await done) === 'ROLLBACK') throw new Error('The transaction had failed, and was rolled back.')
    this.#committed = true
  }

  /** @returns what was done */
  async #carried(text: string): Promise<string | undefined> {
    const { answerMs } = this.#sending
    if (this.carry) return this.carry({ name: `pgpubsub_${text}`, text, values: [], query_timeout: answerMs })
    return (await this.#inTime(text)).command
  }

  #inTime(text: string) {
    return this.#connection.query({ text, values: [], query_timeout: this.#sending.answerMs })
  }

  handOver(): HandedOver | null {
    if (this.#isOver || !this.pipelined) return null
    this.#isOver = true
    heedLoss(this.#connection)
    return { connection: this.#connection, begun: this.#next }
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    const isFree = this.#committed && this.#next === null
    if (isFree) {
      heedLoss(this.#connection)
      this.#sending.kept.keep(this.#connection)
    } else {
      // it may still be told why it was lost
      this.#connection.release(true)
    }
  }
}
