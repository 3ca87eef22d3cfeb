import { randomUUID } from 'node:crypto'
import type { Queryable } from '../database.js'
import { identifier } from '../quote.js'
import type { Claimed } from './claim.js'
import { Statement, type StatementOptions } from './statement.js'

// A leased notification waits, as one does that was put off: nobody takes it before the lease is over, and nobody takes
// later ones of its key. When nobody prolongs it, it is due by itself.
const take = (schema: string) => /* sql */ `
  update ${schema}.notification n
  set waiting = true, waiting_key = n.key, lease = $4, run_at = clock_timestamp() + $5::float8 * interval '1 millisecond'
  where n.listener = $1 and n.waiting = $2 and n.id = any ($3::bigint[])
`

const prolong = (schema: string) => /* sql */ `
  update ${schema}.notification n
  set run_at = clock_timestamp() + $4::float8 * interval '1 millisecond'
  where n.listener = $1 and n.waiting and n.id = any ($2::bigint[]) and n.lease = any ($3::uuid[])
  returning n.id
`

/** The leases of one listener. */
export class Leases {
  readonly #listener: string
  readonly #milliseconds: number
  readonly #take: Statement
  readonly #prolong: Statement

  constructor(schemaName: string, listener: string, milliseconds: number, statements: StatementOptions) {
    const schema = identifier(schemaName)
    this.#listener = listener
    this.#milliseconds = milliseconds
    this.#take = new Statement(take(schema), statements)
    this.#prolong = new Statement(prolong(schema), statements)
  }

  /** Leases notifications that the transaction has claimed. @returns the lease */
  async take(db: Queryable, waiting: boolean, notifications: readonly Claimed[]): Promise<string> {
    const lease = randomUUID()
    const ids = notifications.map(({ id }) => id)
    await this.#take.run(db, [this.#listener, waiting, ids, lease, this.#milliseconds])
    return lease
  }

  /** @returns ids of those that are still leased; the others are another worker's by now */
  async prolong(db: Queryable, ids: readonly bigint[], leases: readonly string[]): Promise<Set<bigint>> {
    const { rows } = await this.#prolong.run(db, [this.#listener, ids, leases, this.#milliseconds])
    return new Set(rows.map(({ id }) => BigInt(id)))
  }
}
