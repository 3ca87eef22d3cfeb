import { AsyncResource } from 'node:async_hooks'
import type pg from 'pg'
import { literal } from '../quote.js'
import { type ContextScope, contextSetting, currentScope, isWithin, setContextSql } from './context.js'
import { mayWrite } from './may-write.js'

/*
 * Carries the context of the running request in the round trip of the write itself.
 *
 * A statement that may write is sent as parse, bind and execute of set_config followed by its own messages, with one
 * Sync behind both: one round trip, and outside of a transaction one implicit transaction, at whose end the setting is
 * gone. Nothing is left on the connection for its next user.
 *
 * Whose context? The one of the code that called `query`, except on a connection that a transaction has checked out:
 * Prisma hands the operations of all transactions of one tick to the driver in the asynchronous context of the first of
 * them, so there the transaction decides.
 */

type Callback = (error: Error | null, result?: unknown) => void

/** pg's own query, as far as it is built upon here. */
declare class Query {
  text: string
  name: string | undefined
  callback: Callback | undefined
  query_timeout?: number
  requiresPreparation(): boolean
  prepare(connection: Wire): void
  submit(connection: Wire): Error | null
  handleRowDescription(message: unknown): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: Wire): void
}
type QueryClass = new (config: unknown, values?: unknown, callback?: unknown) => Query

/** The connection's messages, as far as they are sent here. */
interface Wire {
  parse(message: { text: string; name?: string }): void
  bind(message: { values: string[] }): void
  execute(message: object): void
}

interface Checkout {
  /** The scope of the transaction that has the connection, if one has. */
  owner: ContextScope | undefined
  /** Someone set the context by a statement of their own: theirs holds until the transaction ends. */
  explicit: boolean
  /** The running transaction has a context that a statement outside of it must not inherit. */
  set: boolean
}

const checkouts = new WeakMap<object, Checkout>()
const carrying = new WeakSet<object>()

/**
 * Makes every connection of a pool carry the context of `withContext` to the triggers. Changes the pool in place, and
 * returns it; doing it again changes nothing.
 */
export function carryContext<P extends pg.Pool>(pool: P): P {
  if (carrying.has(pool)) return pool
  carrying.add(pool)
  const connect = pool.connect.bind(pool) as (callback?: Callback3) => Promise<pg.PoolClient>
  pool.connect = ((callback?: Callback3) => {
    const owner = owningTransaction(currentScope())
    if (!callback) return connect().then((client) => checkOut(client, owner))
    // a waiting caller is called back by whoever releases a connection: without this, in the releaser's context
    const bound = AsyncResource.bind(callback)
    return connect((error, client, release) => bound(error, client && checkOut(client, owner), release))
  }) as P['connect']
  return pool
}

type Callback3 = (error: Error | undefined, client: pg.PoolClient | undefined, release: () => void) => void

function owningTransaction(scope: ContextScope | undefined): ContextScope | undefined {
  for (let outer = scope; outer; outer = outer.parent) if (outer.transaction) return outer
  return undefined
}

function checkOut(client: pg.PoolClient, owner: ContextScope | undefined): pg.PoolClient {
  const known = checkouts.get(client)
  if (known) {
    known.owner = owner
    known.explicit = false
    known.set = false
    return client
  }
  const checkout: Checkout = { owner, explicit: false, set: false }
  checkouts.set(client, checkout)
  const query = client.query.bind(client) as (...args: unknown[]) => unknown
  const QueryBase = (client.constructor as unknown as { Query: QueryClass }).Query
  const CarryingQuery = carryingQuery(QueryBase)
  client.query = ((...args: unknown[]) => {
    const json = contextFor(args[0], checkout)
    return json === null ? query(...args) : send(query, new CarryingQuery(json, args), args[0])
  }) as pg.PoolClient['query']
  return client
}

const endsTransaction = /^\s*(?:commit|end|rollback|abort)\b(?!\s+(?:work\s+|transaction\s+)?to\b)/i

/** The JSON of the context that this statement must carry, '' to take a former one back, null to carry nothing. */
function contextFor(config: unknown, checkout: Checkout): string | null {
  const text = typeof config === 'string' ? config : (config as { text?: unknown } | null)?.text
  if (typeof text !== 'string' || isSubmittable(config)) return null
  const scope = scopeOf(checkout)
  if (scope) scope.seenByCarrier = true
  if (endsTransaction.test(text)) checkout.explicit = checkout.set = false
  if (text === setContextSql) checkout.explicit = true
  if (checkout.explicit) return null
  const json = scope?.json ?? (checkout.set ? '' : null)
  if (json === null || !mayWrite(text)) return null
  checkout.set = true
  return json
}

function scopeOf({ owner }: Checkout): ContextScope | undefined {
  const running = currentScope()
  return owner && !isWithin(running, owner) ? owner.innermost : running
}

const isSubmittable = (config: unknown) => typeof (config as { submit?: unknown } | null)?.submit === 'function'

function send(query: (...args: unknown[]) => unknown, carrying: Query, config: unknown): unknown {
  const { query_timeout } = config as { query_timeout?: number }
  if (query_timeout !== undefined) carrying.query_timeout = query_timeout
  if (carrying.callback) return query(carrying)
  return new Promise((resolve, reject) => {
    carrying.callback = (error, result) => (error ? reject(error) : resolve(result))
    query(carrying)
  })
}

const classes = new WeakMap<QueryClass, ReturnType<typeof createClass>>()

function carryingQuery(Base: QueryClass) {
  const known = classes.get(Base)
  if (known) return known
  const created = createClass(Base)
  classes.set(Base, created)
  return created
}

function createClass(Base: QueryClass) {
  /** A query that sends set_config in front of itself and hides its answer. */
  return class CarryingQuery extends Base {
    readonly #json: string
    #hiding = true
    #name: string | undefined

    constructor(json: string, args: unknown[]) {
      super(...(args as [unknown]))
      this.#json = json
    }

    // Several statements in one text exist only in the simple protocol, where no value can be bound.
    #severalStatements(): boolean {
      return !super.requiresPreparation() && /;\s*\S/.test(this.text)
    }

    override requiresPreparation(): boolean {
      return !this.#severalStatements()
    }

    override submit(connection: Wire): Error | null {
      if (this.#severalStatements()) {
        this.text = `select pg_catalog.set_config('${contextSetting}', ${literal(this.#json)}, true);${this.text}`
      }
      return super.submit(connection)
    }

    override prepare(connection: Wire): void {
      connection.parse({ text: setContextSql })
      connection.bind({ values: [this.#json] })
      connection.execute({})
      super.prepare(connection)
      // pg takes the first ParseComplete for this query's: it must not remember our name by set_config's
      this.#name = this.name
      this.name = undefined
    }

    override handleRowDescription(message: unknown): void {
      if (!this.#hiding) super.handleRowDescription(message)
    }

    override handleDataRow(message: unknown): void {
      if (!this.#hiding) super.handleDataRow(message)
    }

    override handleCommandComplete(message: unknown, connection: Wire): void {
      if (this.#hiding) {
        this.#hiding = false
        if (this.#name !== undefined) this.name = this.#name
        return
      }
      super.handleCommandComplete(message, connection)
    }
  }
}
