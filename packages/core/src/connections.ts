import pg from 'pg'
import type { StatementOptions } from './consume/statement.js'
import type { Events } from './events.js'
import { keepAlive, OwnPool } from './own-pool.js'
import { carryContext } from './publish/context-carrier.js'
import type { PubSubOptions } from './pubsub-options.js'

/** A connection is there at once or not at all, in milliseconds. */
const mostConnectMs = 10_000

/** Of the pool that is opened here, apart from the two that the batches of a running listener may hold. */
const spareConnections = 10

/** How a `PubSub` reaches the database: by a pool, the user's or its own, and by a LISTEN connection for each worker. */
export class Connections {
  /** How statements are sent: what a pooler cannot do is not asked of one. */
  readonly statements: StatementOptions
  /** A new, unconnected client for a LISTEN connection; null where there is to be none. */
  readonly createListenClient: (() => pg.Client) | null
  readonly #options: PubSubOptions
  readonly #connectMs: number
  readonly #events: Events
  #ownPool: OwnPool | undefined

  constructor(options: PubSubOptions, answerMs: number, events: Events) {
    this.#options = options
    this.#connectMs = Math.min(answerMs, mostConnectMs)
    this.#events = events
    const { listenConnectionString } = options
    this.statements = { prepared: listenConnectionString === undefined, answerMs }
    this.createListenClient = listenConnectionString === false ? null : () => this.#listenClient()
  }

  /** The pool given, or one of its own, opened when it is first needed. */
  get pool(): pg.Pool {
    if (this.#options.pool) return this.#options.pool
    this.#ownPool ??= this.#openPool()
    return this.#ownPool
  }

  /** Lets the pool of its own grow with the listeners that run. @returns how many connections the user's may have */
  makeRoom(listeners: number): number | undefined {
    if (this.#ownPool) this.#ownPool.options.max = spareConnections + 2 * listeners
    return this.#options.pool?.options.max
  }

  /** Closes what was opened here. */
  async end(): Promise<void> {
    const pool = this.#ownPool
    this.#ownPool = undefined
    await pool?.end()
  }

  #openPool(): OwnPool {
    const { connectionString } = this.#options
    const { prepared: pipeline } = this.statements
    const pool = new OwnPool(connectionString, { max: spareConnections, connectMs: this.#connectMs, pipeline })
    pool.on('error', (error) => this.#events.emit('error', { error }))
    return carryContext(pool)
  }

  #listenClient(): pg.Client {
    const { listenConnectionString, connectionString, pool } = this.#options
    const address = listenConnectionString || connectionString
    const config: pg.ClientConfig = address ? { connectionString: address } : { ...pool?.options }
    if (!address && pool) config.password = pool.options.password // not enumerable there
    return new pg.Client({
      ...config,
      application_name: 'pgpubsub listen',
      ...keepAlive,
      connectionTimeoutMillis: this.#connectMs,
      query_timeout: this.statements.answerMs,
    })
  }
}
