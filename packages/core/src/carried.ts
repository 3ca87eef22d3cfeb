import pg from 'pg'
import type { CarriedStatement } from './database.js'

/*
 * Statements that need no answer of their own are sent in front of the next one, with one Sync behind all of them: then the
 * server answers once. Each answer by itself costs it a system call, which wakes this process, before it does the next one.
 */

/** A statement that is to be sent in front of another. */
export interface Carried extends CarriedStatement {
  /** Called with what was done, in PostgreSQL's words: `COMMIT`. */
  readonly done: (command: string) => void
  readonly failed: (error: Error) => void
}

/** The connection's messages, as far as they are sent here, and its memory of prepared statements. */
interface Wire {
  parse(message: { readonly name: string; readonly text: string }): void
  bind(message: { readonly statement: string; readonly values: readonly (string | null)[] }): void
  execute(message: object): void
  sync(): void
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
}

/** What of pg's own query is built upon here. */
interface PgQuery {
  name: string | undefined
  readonly text: string
  query_timeout?: number
  /** Where a program has told pg to ask for binary values. */
  readonly binary?: boolean
  prepare(connection: Wire): void
  handleRowDescription(message: object): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: { readonly text: string }, connection: Wire): void
  handleError(error: Error, connection: Wire): unknown
}

/** What the columns of a prepared statement are, where it has some: each connection is asked once. */
const columnsOn = new WeakMap<Wire, Map<string, object>>()

function columnsOf(connection: Wire): Map<string, object> {
  const known = columnsOn.get(connection)
  if (known) return known
  const none = new Map<string, object>()
  columnsOn.set(connection, none)
  return none
}

type Callback = (error: Error | null, result: unknown) => void

const BaseQuery = pg.Query as unknown as new (
  text: string,
  values: readonly unknown[] | undefined,
  callback: Callback,
) => PgQuery

/** A value that is sent as it reads. */
type Scalar = string | number | bigint | boolean | null

/** A statement that others are sent in front of. */
export interface SentBehind {
  readonly text: string
  readonly values?: readonly unknown[] | undefined
  readonly name?: string | undefined
  readonly query_timeout?: number | undefined
}

/** A statement, and those that are sent in front of it. When one of them fails, the server skips the rest, and all of it fails. */
export class QueryBehind extends BaseQuery {
  readonly #carried: readonly Carried[]
  readonly #name: string | undefined
  /** Null where some are not sent as they read. */
  readonly #values: readonly Scalar[] | null
  /** Where what the columns are is noted. */
  #columns: Map<string, object> | null = null
  /** How many are done. */
  #done = 0

  constructor(carried: readonly Carried[], { text, values = [], name, query_timeout }: SentBehind, callback: Callback) {
    // an object pg would copy, property by property
    super(text, values, callback)
    this.#carried = carried
    this.#name = name
    this.name = name
    this.#values = values.every(isScalar) ? values : null
    if (query_timeout !== undefined) this.query_timeout = query_timeout
  }

  requiresPreparation(): boolean {
    return true
  }

  override prepare(connection: Wire): void {
    for (const statement of this.#carried) send(statement, connection)
    if (!this.#sendAgain(connection)) super.prepare(connection)
    // pg takes the first ParseComplete for that of this query
    this.name = undefined
  }

  /** Without asking what its columns are. False where that is not known yet. */
  #sendAgain(connection: Wire): boolean {
    const [name, values] = [this.#name, this.#values]
    if (name === undefined || !values || this.binary) return false
    this.#columns = columnsOf(connection)
    const columns = this.#columns.get(name)
    if (!columns) return false
    this.handleRowDescription(columns)
    send({ name, text: this.text, values }, connection)
    connection.sync()
    return true
  }

  override handleRowDescription(columns: object): void {
    if (this.#name !== undefined) this.#columns?.set(this.#name, columns)
    super.handleRowDescription(columns)
  }

  get #isCarrying(): boolean {
    return this.#done < this.#carried.length
  }

  override handleDataRow(message: unknown): void {
    if (!this.#isCarrying) super.handleDataRow(message)
  }

  override handleCommandComplete(message: { readonly text: string }, connection: Wire): void {
    const carried = this.#carried[this.#done++]
    if (!carried) {
      super.handleCommandComplete(message, connection)
      return
    }
    if (!this.#isCarrying) this.name = this.#name
    carried.done(message.text)
  }

  override handleError(error: Error, connection: Wire): unknown {
    for (const carried of this.#carried.slice(this.#done)) carried.failed(error)
    return super.handleError(error, connection)
  }
}

const isScalar = (value: unknown): value is Scalar =>
  value === null || (typeof value !== 'object' && value !== undefined)

interface Sent {
  readonly name: string
  readonly text: string
  readonly values: readonly Scalar[]
}

function send({ name, text, values }: Sent, connection: Wire): void {
  const { parsedStatements, submittedNamedStatements } = connection
  if (parsedStatements[name] === undefined && submittedNamedStatements[name] === undefined) {
    connection.parse({ name, text })
    // for as long as the connection lasts: one on which something has failed is not used again
    submittedNamedStatements[name] = text
  }
  connection.bind({ statement: name, values: values.map((value) => (value === null ? null : String(value))) })
  connection.execute({})
}
