import { literal } from '../quote.js'
import { contextSetting, setContextSql } from './context.js'

/*
 * A statement that may write is sent as parse, bind and execute of set_config followed by its own messages, with one
 * Sync behind both: one round trip, and outside of a transaction one implicit transaction, at whose end the setting is
 * gone. Nothing is left on the connection for its next user.
 */

type Callback = (error: Error | null, result?: unknown) => void

/** pg's own query, as far as it is built upon here. */
export interface CarryingQuery {
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
  handleError(error: Error, connection: Wire): unknown
}

export type QueryClass = new (config: unknown, values?: unknown, callback?: unknown) => CarryingQuery

/** The connection's messages, as far as they are sent here, and its memory of prepared statements. */
interface Wire {
  parse(message: { text: string; name?: string }): void
  bind(message: { values: string[] }): void
  execute(message: object): void
  submittedNamedStatements: Record<string, string>
}

/** Whether it is the class of the queries of pg's own client, not of pg-native's. */
export function isQueryClass(Query: unknown): Query is QueryClass {
  return typeof Query === 'function' && typeof Query.prototype?.prepare === 'function'
}

type CarryingClass = new (json: string, args: unknown[]) => CarryingQuery

const classes = new WeakMap<QueryClass, CarryingClass>()

/** The class of the queries that send set_config in front of themselves, and hide its answer. */
export function carryingQuery(Base: QueryClass): CarryingClass {
  const known = classes.get(Base)
  if (known) return known
  const created = extend(Base)
  classes.set(Base, created)
  return created
}

const followedByAnother = /;\s*\S/

function extend(Base: QueryClass): CarryingClass {
  return class extends Base {
    readonly #json: string
    /** Until set_config is done, every answer is its own. */
    #hiding = true
    #name: string | undefined
    #prefix = ''

    constructor(json: string, args: unknown[]) {
      super(...(args as [unknown]))
      this.#json = json
      const { query_timeout } = args[0] as { query_timeout?: number }
      if (query_timeout !== undefined) this.query_timeout = query_timeout
    }

    // Several statements in one text exist only in the simple protocol, where no value can be bound.
    #severalStatements(): boolean {
      return !super.requiresPreparation() && followedByAnother.test(this.text)
    }

    override requiresPreparation(): boolean {
      return !this.#severalStatements()
    }

    override submit(connection: Wire): Error | null {
      if (this.#severalStatements()) {
        this.#prefix = `select pg_catalog.set_config('${contextSetting}', ${literal(this.#json)}, true);`
        this.text = this.#prefix + this.text
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
      if (!this.#hiding) {
        super.handleCommandComplete(message, connection)
        return
      }
      this.#hiding = false
      this.name = this.#name
    }

    override handleError(error: Error, connection: Wire): unknown {
      // set_config itself was refused, in a failed transaction: our statement was never parsed
      if (this.#hiding && this.#name !== undefined) delete connection.submittedNamedStatements[this.#name]
      const { position } = error as { position?: string }
      if (position) Object.assign(error, { position: String(Number(position) - [...this.#prefix].length) })
      return super.handleError(error, connection)
    }
  }
}
