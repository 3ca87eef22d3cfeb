import {
  type Context,
  type ContextScope,
  contextEverUsed,
  currentScope,
  enterScope,
  mayWrite,
  openScope,
  openTransactionScope,
  PubSubError,
  runInScope,
  setContextSql,
} from '@pgpubsub/core'

/*
 * Brings the context of withContext to the transaction in which a write runs.
 *
 * With a pool that carries it (pubsubAdapter), the connection does that, in the write's own round trip. With any other
 * adapter this does, by statements of its own: a write outside of a transaction gets one around it; in a transaction the
 * setting is made when it begins and whenever withContext changes it.
 */

/** A client or a transaction of Prisma, as far as it is used here. */
export interface RawClient {
  $queryRawUnsafe(sql: string): PromiseLike<unknown>
  $executeRawUnsafe(sql: string, ...values: unknown[]): PromiseLike<number>
}

export interface RootClient extends RawClient {
  // biome-ignore lint/suspicious/noExplicitAny: both of Prisma's forms, with their options
  $transaction(work: any, options?: any): Promise<any>
}

/** The transactions that run, by their scopes, with the client that runs in them. */
const running = new WeakMap<ContextScope, RawClient>()

export class RequestContext {
  readonly #client: RootClient
  #carried: Promise<boolean> | undefined

  constructor(client: RootClient) {
    this.#client = client
  }

  async with<T>(context: Context, fn: () => T | PromiseLike<T>): Promise<T> {
    const outer = currentScope()
    const scope = openScope(context)
    const transaction = transactionOf(scope)
    if (!transaction || (await this.#isCarried(transaction))) return runInScope(scope, fn)
    await setContext(transaction, scope)
    try {
      return await runInScope(scope, fn)
    } finally {
      // a failed transaction takes no statement any more, and keeps no context either
      await setContext(transaction, outer).catch(() => {})
    }
  }

  /** @throws PGPUBSUB_INVALID_CONTEXT inside an interactive transaction: the setting cannot be made without waiting. */
  enter(context: Context): void {
    const scope = openScope(context)
    if (transactionOf(scope)) {
      throw new PubSubError(
        'PGPUBSUB_INVALID_CONTEXT',
        'enterContext() cannot change the context of a running transaction. Call it before $transaction, or use withContext() inside.',
      )
    }
    enterScope(scope)
  }

  /** Runs one operation of the client, in a transaction that knows the context where it needs one. */
  async operation<T>(operation: string, args: unknown, query: () => PromiseLike<T>): Promise<T> {
    const scope = currentScope()
    if (!scope?.json || transactionOf(scope) || inBatch(scope) || !writes(operation, args)) return query()
    if (await this.#isCarried()) return query()
    const [, result] = await this.#client.$transaction([
      this.#client.$executeRawUnsafe(setContextSql, scope.json),
      query(),
    ])
    return result
  }

  /** `$transaction(async (tx) => …)`. */
  async interactive<T>(
    begin: (work: (tx: RawClient) => Promise<T>) => Promise<T>,
    work: (tx: RawClient) => Promise<T>,
  ): Promise<T> {
    const carried = !contextEverUsed() || (await this.#isCarried())
    const scope = openTransactionScope()
    return runInScope(scope, () =>
      begin(async (tx) => {
        running.set(scope, tx)
        try {
          if (!carried && scope.json) await setContext(tx, scope)
          return await work(tx)
        } finally {
          running.delete(scope)
        }
      }),
    )
  }

  /**
   * `$transaction([…])`. Prisma hands the batches of one tick to the driver together, in the asynchronous context of the
   * first, so the connection could not tell whose they are: a statement of its own says so.
   */
  async batch(begin: (queries: unknown[]) => Promise<unknown[]>, queries: unknown[]): Promise<unknown[]> {
    if (!contextEverUsed() || transactionOf(currentScope()) || queries.every(isRead)) return begin(queries)
    const scope = currentScope()
    const set = this.#client.$executeRawUnsafe(setContextSql, scope?.json ?? '')
    const batchScope = openTransactionScope()
    batches.add(batchScope)
    const [, ...results] = await runInScope(batchScope, () => begin([set, ...queries]))
    return results
  }

  /** Whether the adapter's connections carry the context themselves: asked once, before it first matters. */
  #isCarried(client: RawClient = this.#client): Promise<boolean> {
    this.#carried ??= askAdapter(client).catch((error: unknown) => {
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

const batches = new WeakSet<ContextScope>()
const inBatch = (scope: ContextScope): boolean =>
  batches.has(scope) || (scope.parent !== undefined && inBatch(scope.parent))

/** The client of the innermost transaction that the scope runs in. */
function transactionOf(scope: ContextScope | undefined): RawClient | undefined {
  for (let outer = scope; outer; outer = outer.parent) {
    const transaction = running.get(outer)
    if (transaction) return transaction
  }
  return undefined
}

async function setContext(client: RawClient, scope: ContextScope | undefined): Promise<void> {
  await client.$executeRawUnsafe(setContextSql, scope?.json ?? '')
}

const readOperations = new Set([
  ...['findUnique', 'findUniqueOrThrow', 'findFirst', 'findFirstOrThrow', 'findMany'],
  ...['count', 'aggregate', 'groupBy'],
])

/** Whether the operation may change rows; raw ones are judged by their text. */
function writes(operation: string, args: unknown): boolean {
  if (readOperations.has(operation)) return false
  if (operation === '$executeRaw' || operation === '$executeRawUnsafe') return true
  if (!operation.startsWith('$queryRaw')) return true
  const sql = rawText(args)
  return sql === undefined || mayWrite(sql)
}

function rawText(args: unknown): string | undefined {
  if (Array.isArray(args)) return typeof args[0] === 'string' ? args[0] : undefined
  const { sql, strings } = (args ?? {}) as { sql?: unknown; strings?: readonly string[] }
  return typeof sql === 'string' ? sql : strings?.join('$1')
}

/** A Prisma promise tells in `spec` what it would do; one that does not may write. */
function isRead(query: unknown): boolean {
  const { action } = (query as { spec?: { action?: string } } | null)?.spec ?? {}
  return action !== undefined && readOperations.has(action)
}
