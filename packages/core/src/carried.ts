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
  readonly parsedStatements: Record<string, string>
  readonly submittedNamedStatements: Record<string, string>
}

/** What of pg's own query is built upon here. */
interface PgQuery {
  name: string | undefined
  query_timeout?: number
  prepare(connection: Wire): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: { readonly text: string }, connection: Wire): void
  handleError(error: Error, connection: Wire): unknown
}

type Callback = (error: Error | null, result: unknown) => void

const BaseQuery = pg.Query as unknown as new (config: object, callback: Callback) => PgQuery

/** A statement, and those that are sent in front of it. When one of them fails, the server skips the rest, and all of it fails. */
export class QueryBehind extends BaseQuery {
  readonly #carried: readonly Carried[]
  readonly #name: string | undefined
  /** How many are done. */
  #done = 0

  constructor(carried: readonly Carried[], statement: { readonly query_timeout?: number }, callback: Callback) {
    super(statement, callback)
    this.#carried = carried
    this.#name = this.name
    if (statement.query_timeout !== undefined) this.query_timeout = statement.query_timeout
  }

  requiresPreparation(): boolean {
    return true
  }

  override prepare(connection: Wire): void {
    for (const statement of this.#carried) send(statement, connection)
    super.prepare(connection)
    // pg takes the first ParseComplete for that of this query
    this.name = undefined
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

function send({ name, text, values }: Carried, connection: Wire): void {
  const { parsedStatements, submittedNamedStatements } = connection
  if (parsedStatements[name] === undefined && submittedNamedStatements[name] === undefined) {
    connection.parse({ name, text })
    // for as long as the connection lasts: one on which something has failed is not used again
    submittedNamedStatements[name] = text
  }
  connection.bind({ statement: name, values: values.map((value) => (value === null ? null : String(value))) })
  connection.execute({})
}
