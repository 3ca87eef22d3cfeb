import { AsyncResource } from 'node:async_hooks'
import type pg from 'pg'
import { type CarryingQuery, carryingQuery, isQueryClass } from './carrying-query.js'
import { currentJson, currentScope, setContextSql, setsContext } from './context.js'
import { mayWrite } from './may-write.js'

/*
 * Carries the context of the running request in the round trip of the write itself; see carrying-query.ts.
 *
 * Whose context? That of the code which called `query`. But not on a connection that an ORM's transaction has taken:
 * Prisma hands the operations of all transactions of one tick to the driver in the asynchronous context of the first of
 * them. There the transaction says it, by the statement `setContextSql`, which is answered here, without a round trip.
 */

/** What is known of a connection from its checkout to its release. */
interface Checkout {
  /** A transaction of an ORM has it: nothing but `bound` counts. */
  ofTransaction: boolean
  /** The context that the transaction named, as JSON; '' for none. */
  bound: string | undefined
  /** Someone set the context by a statement of their own: theirs holds until the transaction ends. */
  explicit: boolean
  /** The running transaction has had a context, which a statement without one must not inherit. */
  set: boolean
}

type Query = (...args: unknown[]) => unknown
type Callback = (error: Error | undefined, client: pg.PoolClient | undefined, release: () => void) => void

const carrying = new WeakSet<object>()
const checkouts = new WeakMap<object, Checkout>()

/**
 * Makes every connection of a pool carry the context of `withContext` to the triggers. Changes the pool in place, and
 * returns it; doing it again changes nothing. Not for pools of `pg-native`, which stay as they are.
 */
export function carryContext<P extends pg.Pool>(pool: P): P {
  if (carrying.has(pool)) return pool
  carrying.add(pool)
  const connect = pool.connect.bind(pool) as (callback?: Callback) => Promise<pg.PoolClient>
  pool.connect = ((callback?: Callback) => {
    const ofTransaction = currentScope()?.inTransaction ?? false
    if (!callback) return connect().then((client) => checkOut(client, ofTransaction))
    // a waiting caller is called back by whoever releases a connection: without this, in the releaser's context
    const bound = AsyncResource.bind(callback)
    return connect((error, client, release) => bound(error, client && checkOut(client, ofTransaction), release))
  }) as P['connect']
  return pool
}

function checkOut(client: pg.PoolClient, ofTransaction: boolean): pg.PoolClient {
  const fresh: Checkout = { ofTransaction, bound: undefined, explicit: false, set: false }
  const known = checkouts.get(client)
  if (known) Object.assign(known, fresh)
  else carryOn(client, fresh)
  return client
}

/** A connection lives longer than its checkouts: its `query` is replaced once. */
function carryOn(client: pg.PoolClient, checkout: Checkout): void {
  const { Query } = client.constructor as { Query?: unknown }
  if (!isQueryClass(Query)) return
  checkouts.set(client, checkout)
  const query = client.query.bind(client) as Query
  const Carrying = carryingQuery(Query)
  client.query = ((...args: unknown[]) => {
    const text = textOf(client, args[0])
    if (text === undefined) return query(...args)
    if (text === setContextSql && !args.some((arg) => typeof arg === 'function')) return bind(checkout, args)
    const json = contextFor(text, checkout)
    if (json === null) return query(...args)
    return send(query, new Carrying(json, args), () => new Query(...(args as [unknown])))
  }) as pg.PoolClient['query']
}

/** The text of a statement; undefined for pg-cursor and its like, which submit themselves. */
function textOf(client: pg.PoolClient, config: unknown): string | undefined {
  if (typeof config === 'string') return config
  const { text, name, submit } = (config ?? {}) as { text?: unknown; name?: unknown; submit?: unknown }
  if (typeof submit === 'function') return undefined
  if (typeof text === 'string') return text
  // a prepared statement may be executed by its name alone
  const { connection } = client as unknown as { connection?: { parsedStatements?: Record<string, string> } }
  return typeof name === 'string' ? connection?.parsedStatements?.[name] : undefined
}

function bind(checkout: Checkout, [config, values]: unknown[]): Promise<unknown> {
  const given = (config as { values?: unknown[] }).values ?? (values as unknown[])
  checkout.bound = String(given[0])
  return Promise.resolve({ command: 'SELECT', rowCount: 1, oid: null, rows: [], fields: [] })
}

const endsTransaction = /^\s*(?:commit|end|rollback|abort)\b(?!\s+(?:work\s+|transaction\s+)?to\b)/i

/** The JSON of the context that this statement must carry, '' to take a former one back, null to carry nothing. */
function contextFor(text: string, checkout: Checkout): string | null {
  const scope = currentScope()
  if (scope) scope.seenByCarrier = true
  if (endsTransaction.test(text)) Object.assign(checkout, { bound: undefined, explicit: false, set: false })
  if (setsContext(text)) checkout.explicit = true
  if (checkout.explicit) return null
  const json = checkout.bound ?? (checkout.ofTransaction ? '' : currentJson())
  if ((json === '' && !checkout.set) || !mayWrite(text)) return null
  checkout.set = true
  return json
}

function send(query: Query, carried: CarryingQuery, plain: () => CarryingQuery): unknown {
  const { callback } = carried
  if (callback) return query(runAgainAlone(query, carried, plain, callback))
  return new Promise((resolve, reject) => {
    query(runAgainAlone(query, carried, plain, (error, result) => (error ? reject(traced(error)) : resolve(result))))
  })
}

/**
 * A procedure that commits cannot share an implicit transaction with set_config. What it did until then is rolled back,
 * so it runs again, without a context, which its first commit would have ended anyway.
 */
function runAgainAlone(
  query: Query,
  carried: CarryingQuery,
  plain: () => CarryingQuery,
  callback: NonNullable<CarryingQuery['callback']>,
): CarryingQuery {
  carried.callback = (error, result) => {
    if (sqlState(error) !== invalidTransactionTermination) return callback(error, result)
    const again = plain()
    // in a transaction of the user's it has failed for good, and the first error says why
    again.callback = (next, rows) => callback(sqlState(next) === inFailedTransaction ? error : next, rows)
    query(again)
  }
  return carried
}

const invalidTransactionTermination = '2D000'
const inFailedTransaction = '25P02'
const sqlState = (error: Error | null) => (error as { code?: unknown } | null)?.code

/** As pg does it: a stack that leads to the caller instead of to the socket. */
function traced(error: Error): Error {
  Error.captureStackTrace(error)
  return error
}
