import {
  contextEverUsed,
  currentJson,
  currentScope,
  openScope,
  openScopeOutsideTransaction,
  openTransactionScope,
  runInScope,
  setContextSql,
} from '@pgpubsub/core'
import { throughGate } from './batch-transaction.js'
import { isRead, type OperationCall, rawText, transactionOf, writes } from './operation.js'
import { TransactionContext } from './transaction-context.js'

/*
 * Brings the context of withContext to the transaction in which a write runs.
 *
 * Outside of a transaction, a connection that carries contexts (pubsubAdapter) takes it from the running request, in the
 * write's own round trip; with any other adapter the write gets a transaction around it. In a transaction `setContextSql`
 * says it: a connection that carries contexts answers that without a round trip, and any other one simply executes it.
 */

/** A client or a transaction of Prisma, as far as it is used here. */
export interface RawClient {
  $queryRawUnsafe(sql: string, ...values: unknown[]): PromiseLike<unknown>
  $executeRawUnsafe(sql: string, ...values: unknown[]): PromiseLike<number>
}

export interface RootClient extends RawClient {
  // biome-ignore lint/suspicious/noExplicitAny: both of Prisma's forms, with their options
  $transaction(work: any, options?: any): Promise<any>
}

// a single write has no time limits of Prisma's, and the transaction around it must not bring any: the timers' longest
const unlimited = { maxWait: 2 ** 31 - 1, timeout: 2 ** 31 - 1 }

export class RequestContext {
  readonly #client: RootClient
  readonly #transactions = new Map<unknown, TransactionContext>()
  #carried: Promise<boolean> | undefined

  constructor(client: RootClient) {
    this.#client = client
  }

  /** Runs one operation of the client, with the context of the request where it writes. */
  async operation(call: OperationCall): Promise<unknown> {
    const query = () => call.query(call.args as never)
    const transaction = transactionOf(call)
    const sql = rawText(call.operation, call.args)
    // what runs in a batch has its context from the batch
    if (transaction?.kind === 'batch' || sql === setContextSql) return query()
    const json = writes(call) ? currentJson() : undefined
    if (!transaction) return json ? this.#single(json, query) : query()
    const running = this.#transactions.get(transaction.id)
    return throughGate(transaction.id, sql, async () => (running ? running.run({ json, sql }, query) : query()))
  }

  async #single(json: string, query: () => PromiseLike<unknown>): Promise<unknown> {
    const scope = currentScope()
    // where it cannot be asked, the transaction works with both
    if (await this.#isCarried().catch(() => false)) {
      return scope?.inTransaction ? runInScope(openScopeOutsideTransaction(), query) : query()
    }
    const set = this.#client.$executeRawUnsafe(setContextSql, json)
    try {
      const [, result] = await this.#client.$transaction([set, query()], unlimited)
      return result
    } catch (error) {
      // a procedure that commits must run outside of a transaction; its first commit would end the context anyway
      if (sqlState(error) === invalidTransactionTermination) return query()
      throw error
    }
  }

  /** `$transaction(async (tx) => …)`, also inside of another one: then it is a savepoint. */
  async interactive<T>(
    begin: (work: (tx: RawClient) => Promise<T>) => Promise<T>,
    work: (tx: RawClient) => Promise<T>,
  ): Promise<T> {
    let id: unknown
    const begun = async (tx: RawClient): Promise<T> => {
      id = transactionId(tx)
      if (this.#transactions.has(id)) return work(tx)
      this.#transactions.set(id, new TransactionContext((json) => tx.$executeRawUnsafe(setContextSql, json)))
      try {
        return await work(tx)
      } finally {
        this.#transactions.delete(id)
      }
    }
    try {
      return await runInScope(openTransactionScope(), () => begin(begun))
    } catch (error) {
      this.#transactions.get(id)?.rolledBack()
      throw error
    }
  }

  /**
   * `$transaction([…])`. Prisma hands the batches of one tick to the driver together, in the asynchronous context of the
   * first, so the connection could not tell whose they are: a statement says so, also that there is no context.
   */
  async batch(begin: (queries: unknown[]) => Promise<unknown[]>, queries: unknown[]): Promise<unknown[]> {
    if (!contextEverUsed() || queries.every(isRead)) return begin(queries)
    const json = currentJson()
    if (json === '' && !(await this.#isCarried())) return begin(queries)
    const [, ...results] = await begin([this.#client.$executeRawUnsafe(setContextSql, json), ...queries])
    return results
  }

  /** Whether the adapter's connections carry the context themselves: asked once, before it first matters. */
  #isCarried(): Promise<boolean> {
    this.#carried ??= askAdapter(this.#client).catch((error: unknown) => {
      this.#carried = undefined
      throw error
    })
    return this.#carried
  }
}

/** A connection that carries contexts notices which scope a statement comes from. */
async function askAdapter(client: RawClient): Promise<boolean> {
  const probe = openScope({})
  await runInScope(probe, () => client.$queryRawUnsafe('select 1'))
  return probe.seenByCarrier
}

// where Prisma keeps, on the client that runs in a transaction, which one that is
const transactionScope = Symbol.for('prisma.client.transaction.scope_context')

/** Which transaction a client of Prisma runs in. */
export function transactionId(tx: object): unknown {
  return (tx as { [transactionScope]?: { txId?: unknown } })[transactionScope]?.txId
}

const invalidTransactionTermination = '2D000'

/** PostgreSQL's code in the error of a raw statement. */
function sqlState(error: unknown): unknown {
  const { meta } = (error ?? {}) as { meta?: { driverAdapterError?: { cause?: { originalCode?: unknown } } } }
  return meta?.driverAdapterError?.cause?.originalCode
}
