import type pg from 'pg'
import type { StatementOptions } from './consume/statement.js'
import { PubSubError } from './errors.js'
import type { Events } from './events.js'
import type { OwnPool } from './own-pool.js'
import { carryContext } from './publish/context-carrier.js'
import type { PubSubOptions } from './pubsub-options.js'

/** A connection is there at once or not at all, in milliseconds. */
const mostConnectMs = 10_000

/** Of a pool that is opened here, apart from the two that the batches of a running listener may hold. */
const spareConnections = 10

/**
 * How a `PubSub` reaches the database: by a pool, the user's or its own, and by a LISTEN connection for each worker. The
 * driver is loaded when it is first needed.
 */
export class Connections {
  /** How statements are sent: what a pooler cannot do is not asked of one. */
  readonly statements: StatementOptions
  readonly #options: PubSubOptions
  readonly #connectMs: number
  readonly #events: Events
  #ownPool: Promise<OwnPool> | undefined
  #batchPool: Promise<OwnPool> | undefined
  #ended = false

  constructor(options: PubSubOptions, answerMs: number, events: Events) {
    this.#options = options
    this.#connectMs = Math.min(answerMs, mostConnectMs)
    this.#events = events
    const { listenConnectionString } = options
    this.statements = { prepared: listenConnectionString === undefined, answerMs }
  }

  /** Whether workers have a LISTEN connection. */
  get canListen(): boolean {
    return this.#options.listenConnectionString !== false
  }

  /** The pool given, or one of its own, opened when it is first needed. @throws PGPUBSUB_CLOSED after {@link end} */
  async open(): Promise<pg.Pool> {
    if (this.#ended) throw closedError()
    if (this.#options.pool) return this.#options.pool
    this.#ownPool ??= this.#openPool(false)
    return this.#ownPool
  }

  /** The pool given, or one that nothing but batches uses. */
  async openForBatches(): Promise<pg.Pool> {
    if (this.#options.pool) return this.#options.pool
    this.#batchPool ??= this.#openPool(true)
    return this.#batchPool
  }

  /** Lets the pool of batches grow with the listeners that run. @returns how many connections the user's may have */
  async makeRoom(listeners: number): Promise<number | undefined> {
    const own = await this.#batchPool
    if (own) own.options.max = spareConnections + 2 * listeners
    return this.#options.pool?.options.max
  }

  /** Closes what was opened here, and opens nothing more. */
  async end(): Promise<void> {
    this.#ended = true
    const pools = [this.#ownPool, this.#batchPool]
    this.#ownPool = undefined
    this.#batchPool = undefined
    await Promise.all(pools.map(async (pool) => (await pool)?.end()))
  }

  async #openPool(isEngines: boolean): Promise<OwnPool> {
    const { OwnPool } = await import('./own-pool.js')
    const { connectionString } = this.#options
    const { prepared: pipeline } = this.statements
    const pool = new OwnPool(connectionString, {
      max: spareConnections,
      connectMs: this.#connectMs,
      pipeline,
      isEngines,
    })
    pool.on('error', (error) => this.#events.emit('error', { error }))
    return carryContext(pool)
  }

  /** Makes new, unconnected clients for LISTEN connections; null where there are to be none. */
  async listenClients(): Promise<(() => pg.Client) | null> {
    const { listenConnectionString, connectionString, pool } = this.#options
    if (listenConnectionString === false) return null
    const { listenClient } = await import('./own-pool.js')
    const address = listenConnectionString || connectionString
    const config: pg.ClientConfig = address ? { connectionString: address } : { ...pool?.options }
    if (!address && pool) config.password = pool.options.password // not enumerable there
    return () => listenClient(config, { connectMs: this.#connectMs, answerMs: this.statements.answerMs })
  }
}

export const closedError = (): PubSubError =>
  new PubSubError(
    'PGPUBSUB_CLOSED',
    'close() was called, so that nothing can be asked of the database any more. Call it last, or make a new client.',
  )
