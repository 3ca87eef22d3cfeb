import type { Context, StoredOperation } from '../change.js'
import { checkOptionNames } from '../check.js'
import type { Queryable, QueryResult, ResultRow } from '../database.js'
import { PubSubError } from '../errors.js'
import { requiresEngine } from '../install/not-installed.js'
import type { Listener } from '../listener.js'
import type { DeadLetterFilter, DeadLetterSelection } from './dead-letter-selection.js'
import type { Statement } from './dead-letter-statements.js'

/** A notification that has used up its attempts, kept with its error until someone retries or discards it. */
export interface DeadLetter {
  /** That of the change. */
  readonly id: bigint
  /** Name of the listener whose attempts it has used up. */
  readonly listener: string
  /** `'message'` of what was published on a channel. */
  readonly operation: StoredOperation | 'message'
  /** As its handler sees it, where the listener is declared and can read it; else as JSON. The payload of a message is `new`. */
  readonly old: unknown
  /** As `old`; null on delete. */
  readonly new: unknown
  /** The context of the request that made the change. */
  readonly context: Context
  /** Failed attempts. */
  readonly attempts: number
  /** The last error: its stack, with the message. */
  readonly error: string | null
  /** When the change was stored. */
  readonly createdAt: Date
  /** When its last attempt failed. */
  readonly diedAt: Date
}

/** Options of {@link DeadLetters.list}. */
export interface DeadLetterListOptions extends DeadLetterFilter {
  /** The most that are returned. @default 100 */
  limit?: number
  /** Only those with a lower id: the last one's id gives the next page. @default the newest */
  before?: bigint
}

/** In whose transaction it happens. */
export interface InTransaction<Transaction> {
  /** A transaction of the caller: what is done commits or rolls back with it. @default one of its own */
  tx?: Transaction
}

/** The dead letters of one engine. `Transaction` is what a caller's own transaction is. */
export class DeadLetters<Transaction = Queryable> {
  readonly #schema: string
  readonly #database: (tx: Transaction | undefined) => Queryable | Promise<Queryable>
  readonly #listener: (name: string) => Listener | undefined

  /** @param database where statements go: into the caller's transaction, or, without one, to the pool */
  constructor(
    schema: string,
    database: (tx: Transaction | undefined) => Queryable | Promise<Queryable>,
    listener: (name: string) => Listener | undefined,
  ) {
    this.#schema = schema
    this.#database = database
    this.#listener = listener
  }

  /**
   * The dead letters that fit, those of the newest changes first.
   * @example
   * const page = await prisma.$pubsub.deadLetters.list({ listener: 'scan-media', limit: 20 })
   * const next = await prisma.$pubsub.deadLetters.list({ listener: 'scan-media', limit: 20, before: page.at(-1)?.id })
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_NOT_INSTALLED
   */
  async list(options: DeadLetterListOptions & InTransaction<Transaction> = {}): Promise<DeadLetter[]> {
    const { listStatement } = await import('./dead-letter-statements.js')
    const statement = listStatement(this.#schema, options)
    const { rows } = await this.#query(options.tx, statement)
    return rows.map((row) => this.#deadLetter(row))
  }

  /**
   * Gives them all their attempts again, at once and under their old ids. Later changes of their rows that are still
   * stored wait for them; those that were handled meanwhile stay handled.
   * @param selection one id, several, a filter, or `'all'`
   * @returns how many there were
   * @example
   * await prisma.$pubsub.deadLetters.retry({ listener: 'scan-media', error: 'ECONNREFUSED' })
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_NOT_INSTALLED
   */
  async retry(selection: DeadLetterSelection, options: InTransaction<Transaction> = {}): Promise<number> {
    const { retryStatement } = await import('./dead-letter-statements.js')
    return this.#change(options, retryStatement(this.#schema, selection))
  }

  /**
   * Deletes them.
   * @param selection one id, several, a filter, or `'all'`
   * @returns how many there were
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_NOT_INSTALLED
   */
  async discard(selection: DeadLetterSelection, options: InTransaction<Transaction> = {}): Promise<number> {
    const { discardStatement } = await import('./dead-letter-statements.js')
    return this.#change(options, discardStatement(this.#schema, selection))
  }

  async #change(options: InTransaction<Transaction>, statement: Statement): Promise<number> {
    checkOptionNames('deadLetters', options, ['tx'])
    const { rows } = await this.#query(options.tx, statement)
    return rows[0].count
  }

  #query(tx: Transaction | undefined, { text, values }: Statement): Promise<QueryResult> {
    return requiresEngine(this.#schema, async () => (await this.#database(tx)).query(text, [...values]))
  }

  #deadLetter(row: ResultRow): DeadLetter {
    const decode = this.#decoder(row.listener)
    return {
      id: BigInt(row.id),
      listener: row.listener,
      operation: row.operation,
      old: decode(row.old),
      new: decode(row.new),
      context: JSON.parse(row.context),
      attempts: row.attempts,
      error: row.error,
      createdAt: new Date(row.created_at),
      diedAt: new Date(row.died_at),
    }
  }

  #decoder(name: string) {
    const listener = this.#listener(name)
    return (json: string | null): unknown => {
      if (json === null) return null
      try {
        return listener ? listener.decode(json) : JSON.parse(json)
      } catch {
        // what cannot be decoded is often the very reason why it is dead
        return JSON.parse(json)
      }
    }
  }
}

/** The caller's transaction, where one is given. @throws PGPUBSUB_INVALID_OPTION when it is none. */
export function transactionOr(pool: () => Promise<Queryable>) {
  return (tx: Queryable | undefined): Queryable | Promise<Queryable> => {
    if (tx === undefined) return pool()
    if (typeof tx?.query === 'function' && !('totalCount' in tx)) return tx
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      'tx must be what the transaction runs on: a client of pg, as pool.connect() gives one, or anything with its query(text, values). A pool is no transaction: leave tx out.',
    )
  }
}
