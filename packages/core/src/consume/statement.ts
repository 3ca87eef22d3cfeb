import { createHash } from 'node:crypto'
import type { Queryable, QueryResult } from '../database.js'

/**
 * A statement that is run again and again. Prepared, each connection parses and plans it once; behind a pooler in
 * transaction mode, where the next statement may meet another connection of the server, it is sent whole each time.
 */
export class Statement {
  readonly #text: string
  readonly #name: string | undefined

  constructor(text: string, prepared: boolean) {
    this.#text = text
    this.#name = prepared ? `pgpubsub_${createHash('sha256').update(text).digest('hex').slice(0, 16)}` : undefined
  }

  run(db: Queryable, values: unknown[]): Promise<QueryResult> {
    if (this.#name === undefined) return db.query(this.#text, values)
    return db.query({ name: this.#name, text: this.#text, values })
  }
}
