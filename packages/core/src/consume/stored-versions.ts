import type { Queryable } from '../database.js'
import type { ListenerDefinition } from '../listener.js'
import { identifier } from '../quote.js'
import type { Claimed } from './claim.js'
import type { Batch } from './fresh-claims.js'
import { Statement, type StatementOptions } from './statement.js'

const others = (schema: string) => /* sql */ `
  select n.id::text as id, n.version
  from ${schema}.notification n
  where n.listener = $1 and n.waiting = $2 and n.id = any ($3::bigint[]) and n.version is distinct from $4::text
    and coalesce(n.old, n.new) is not null
`

/**
 * Which of the claimed notifications were stored by another version of their model. Asked only for listeners that have an
 * `upcast`: nobody else pays for it.
 */
export class StoredVersions {
  readonly #listener: ListenerDefinition
  readonly #others: Statement

  constructor(schemaName: string, listener: ListenerDefinition, statements: StatementOptions) {
    this.#listener = listener
    this.#others = new Statement(others(identifier(schemaName)), statements)
  }

  async noted(db: Queryable, { notifications, waiting, ...batch }: Batch): Promise<Batch> {
    const { name, version } = this.#listener
    const ids = `{${notifications.map(({ id }) => id).join(',')}}`
    const { rows } = await this.#others.run(db, [name, waiting, ids, version])
    const versions = new Map(rows.map((row) => [row.id as string, row.version as string | null]))
    const note = (notification: Claimed) => {
      const storedBy = versions.get(String(notification.id))
      return storedBy === undefined ? notification : { ...notification, storedBy }
    }
    return { ...batch, waiting, notifications: versions.size === 0 ? notifications : notifications.map(note) }
  }
}
