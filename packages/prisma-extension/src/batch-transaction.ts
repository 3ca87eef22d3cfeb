import { AsyncLocalStorage } from 'node:async_hooks'
import {
  type BatchTransaction,
  type HandlerGate,
  openTransactionScope,
  type QueryResult,
  runInScope,
  type TransactionSource,
} from '@pgpubsub/core'
import { type RawClient, type RootClient, transactionId } from './request-context.js'

/*
 * The transactions of transactional handlers are Prisma's own interactive ones, so that `tx` is a client of Prisma like
 * any other, with any adapter. The engine claims, deletes and commits in them by raw statements.
 */

// for a pool that is busy; a batch may take as long as its handlers do: the timer's longest
const options = { isolationLevel: 'ReadCommitted', maxWait: 30_000, timeout: 2 ** 31 - 1 }

export function prismaTransactions(client: () => RootClient): TransactionSource {
  return { begin: ({ sql }) => PrismaTransaction.begin(client(), sql) }
}

/** Which handler's attempt the running code belongs to, and in which transaction. */
const attempts = new AsyncLocalStorage<{ readonly gate: HandlerGate; readonly transaction: unknown }>()

/** Runs an operation of a transaction. What a handler does with its `tx` is let through only while its attempt lasts. */
export function throughGate<T>(transaction: unknown, sql: string | undefined, operation: () => Promise<T>): Promise<T> {
  const attempt = attempts.getStore()
  return attempt && attempt.transaction === transaction ? attempt.gate.run(sql, operation) : operation()
}

const rolledBack = new Error('The batch was not committed.')

class PrismaTransaction implements BatchTransaction {
  readonly pipelined = false
  // biome-ignore lint/suspicious/noExplicitAny: a row's columns are known only to the statement that names them
  readonly first: Promise<any>
  readonly begun: Promise<unknown>
  readonly #tx: RawClient
  readonly #over: Promise<void>
  readonly #finish: (commit: boolean) => void

  private constructor(tx: RawClient, over: Promise<void>, finish: (commit: boolean) => void, sql: string) {
    this.#tx = tx
    this.#over = over
    this.#finish = finish
    this.first = this.query(sql).then(({ rows }) => rows[0])
    this.first.catch(() => {}) // begin() tells
    this.begun = this.first
  }

  static async begin(client: RootClient, sql: string): Promise<PrismaTransaction> {
    let begin: (tx: RawClient) => void = () => {}
    let finish: (commit: boolean) => void = () => {}
    const begun = new Promise<RawClient>((resolve) => {
      begin = resolve
    })
    const finished = new Promise<boolean>((resolve) => {
      finish = resolve
    })
    const over: Promise<void> = client.$transaction(async (tx: RawClient) => {
      begin(tx)
      if (!(await finished)) throw rolledBack
    }, options)
    over.catch(() => {}) // commit() tells
    const tx = await Promise.race([begun, over.then(() => begun)])
    const transaction = new PrismaTransaction(tx, over, finish, sql)
    try {
      await transaction.first
      return transaction
    } catch (error) {
      transaction.end()
      throw error
    }
  }

  async query(statement: string | { text: string; values: unknown[] }, values: unknown[] = []): Promise<QueryResult> {
    const given = typeof statement === 'string' ? { text: statement, values } : statement
    const rows = (await this.#tx.$queryRawUnsafe(given.text, ...given.values.map(parameter))) as unknown[]
    return { rows, rowCount: rows.length }
  }

  /** Prisma does not tell of a lost connection before the next statement. */
  onLost(): () => void {
    return () => {}
  }

  lend<T>(gate: HandlerGate, work: (tx: RawClient) => Promise<T>): Promise<T> {
    const attempt = { gate, transaction: transactionId(this.#tx) }
    return runInScope(openTransactionScope(), () => attempts.run(attempt, () => work(this.#tx)))
  }

  async commit(): Promise<void> {
    this.#finish(true)
    await this.#over
  }

  handOver(): null {
    return null
  }

  end(): void {
    this.#finish(false)
  }
}

/** Every statement of the engine casts its parameters, so lists can go as the text that PostgreSQL has for them. */
function parameter(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return Array.isArray(value) ? `{${value.map(element).join(',')}}` : value
}

function element(value: unknown): string {
  return value === null ? 'NULL' : `"${String(value).replace(/["\\]/g, '\\$&')}"`
}
