import { createHash } from 'node:crypto'
import type { CarriedStatement, MayCarry, Queryable, QueryResult } from '../database.js'

/** How a worker's statements are sent. */
export interface StatementOptions {
  /** Whether connections keep them. */
  readonly prepared: boolean
  /** Milliseconds that the server may take to answer one. */
  readonly answerMs: number
}

/**
 * A statement that is run again and again. Prepared, each connection parses and plans it once; behind a pooler in
 * transaction mode, where the next statement may meet another connection of the server, it is sent whole each time.
 * One that is not answered in time fails; its connection must not be used again.
 */
export class Statement {
  readonly #text: string
  readonly #name: string | undefined
  readonly #answerMs: number

  constructor(text: string, { prepared, answerMs }: StatementOptions) {
    this.#text = text
    this.#name = prepared ? `pgpubsub_${createHash('sha256').update(text).digest('hex').slice(0, 16)}` : undefined
    this.#answerMs = answerMs
  }

  /** Sends it in front of what follows, where that can be, as `Carrier` has it. */
  async carry(db: Queryable & MayCarry, values: CarriedStatement['values']): Promise<void> {
    if (db.carry && this.#name !== undefined) {
      await db.carry({ name: this.#name, text: this.#text, values, query_timeout: this.#answerMs })
    } else await this.run(db, [...values])
  }

  run(db: Queryable, values: unknown[]): Promise<QueryResult> {
    const statement = { text: this.#text, values, query_timeout: this.#answerMs }
    return db.query(this.#name === undefined ? statement : { ...statement, name: this.#name })
  }
}
