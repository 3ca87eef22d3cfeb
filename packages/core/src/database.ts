/* The smallest interface to PostgreSQL that the engine needs; `pg` satisfies it. */

// biome-ignore lint/suspicious/noExplicitAny: a row's columns are known only to the statement that names them
export type ResultRow = any

/** What a statement has answered. */
export interface QueryResult {
  /** Its rows, as objects by column name. */
  rows: ResultRow[]
  /** How many rows it returned or changed; null where that has no meaning. */
  rowCount: number | null
  /** What was done, in PostgreSQL's words. */
  command?: string
}

/** What runs statements: a client of pg, a connection of a pool, or anything like them. */
export interface Queryable {
  /** Runs one statement, with the values of its parameters. */
  query(text: string, values?: unknown[]): Promise<QueryResult>
  query(statement: { name?: string; text: string; values: unknown[]; query_timeout?: number }): Promise<QueryResult>
}

/** A prepared statement of whose answer nothing but the end is looked at. */
export interface CarriedStatement {
  readonly name: string
  readonly text: string
  readonly values: readonly (string | boolean | null)[]
  readonly query_timeout: number
}

/** What can send statements in front of another. */
export interface Carrier {
  /**
   * Sends it in front of the next statement, with which it is answered, or alone, if none comes before this turn of the event
   * loop ends.
   * When it fails, so does what is sent with it behind it.
   * @returns what was done, in PostgreSQL's words: `COMMIT`
   */
  carry(statement: CarriedStatement): Promise<string>
}

/** What may be one. */
export interface MayCarry {
  readonly carry?: Carrier['carry'] | undefined
}

/** A connection taken from a {@link Pool}. `release(true)` closes it instead of giving it back. */
export interface Connection extends Queryable, MayCarry {
  release(destroy?: boolean | Error): void
  /** Whether a statement may be sent before the ones before it are answered. */
  readonly pipeline?: boolean
  /** Whether only the engine's batches use it: settings may last as long as it does. */
  readonly isEngines?: boolean
  /** Keeps back what is sent from now on. @returns a function that sends it, and whatever follows at once; to be called once */
  readonly holdBack?: () => () => void
  /** Tells that the connection was lost while no statement was running. With no handler, Node ends the process. */
  on(event: 'error', handler: (error: Error) => void): unknown
  removeListener(event: 'error', handler: (error: Error) => void): unknown
}

/** What `pg.Pool` is, as far as the engine uses it. */
export interface Pool extends Queryable {
  connect(): Promise<Connection>
  end(): Promise<void>
}
