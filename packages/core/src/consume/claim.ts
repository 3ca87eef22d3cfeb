import type { Queryable } from '../database.js'
import type { OrderMode } from '../listener.js'
import { identifier } from '../quote.js'

/** A claimed notification, as stored. `old` and `new` are JSON text. */
export interface Claimed {
  readonly id: bigint
  /** Changes of one key are handled one after another; null: in any order. */
  readonly key: string | null
  readonly operation: string
  readonly old: string | null
  readonly new: string | null
  readonly changed: readonly string[] | null
  readonly context: string
  /** Failed attempts so far. */
  readonly attempts: number
  readonly createdAt: Date
}

export interface Claim {
  readonly claimed: readonly Claimed[]
  /** Keys whose next change is locked by another worker. */
  readonly blockedKeys: readonly string[]
  /** The lowest and highest id that the claim looked at, null where it found none. */
  readonly lowestId: bigint | null
  readonly highestId: bigint | null
  /** Whether it looked at as many as it might: there may be more behind. */
  readonly full: boolean
}

const columns = /* sql */ `n.id, n.key, n.operation, n.old::text as old, n.new::text as new, n.changed,
    n.context::text as context, n.attempts, n.created_at`

/**
 * Claims fresh notifications in the order of their ids. `$1` listener, `$2` above which id, `$3` limit.
 *
 * No order is kept: each one is locked for itself.
 */
const claimAny = (schema: string) => /* sql */ `
  select ${columns}
  from ${schema}.notification n
  where n.listener = $1 and n.run_at is null and n.id > $2
  order by n.id
  limit $3
  for update skip locked
`

/**
 * The same, `$4` keys known to be blocked, in the order of each row.
 *
 * The lock on the oldest notification of a key is the lock on the key. Writers of one row queue on that row's lock, so
 * whoever sees a notification sees all older ones of its key: the oldest is the same for everyone, and only who locks it
 * may take the ones behind it. A key whose oldest notification waits for its retry is left alone.
 *
 * Rows of keys that could not be locked come back with nothing but id and key, so that the next page skips them.
 */
const claimByRow = (schema: string) => /* sql */ `
  with page as materialized (
    select n.id, coalesce(n.key, n.id) as key
    from ${schema}.notification n
    where n.listener = $1 and n.run_at is null and n.id > $2
      and coalesce(n.key, n.id) <> all ($4::bigint[])
      and not exists (
        select from ${schema}.notification w
        where w.listener = $1 and w.key = n.key and w.run_at is not null
      )
    order by n.id
    limit $3
  ), head as materialized (
    select n.id, coalesce(n.key, n.id) as key
    from ${schema}.notification n
    where n.id = any (array(select min(p.id) from page p group by p.key)) and n.run_at is null
    for update skip locked
  ), mine as materialized (
    select p.id from page p where p.key in (select h.key from head h)
  )
  select ${columns}
  from ${schema}.notification n
  where n.id = any (array(select m.id from mine m))
  union all
  select p.id, p.key, null, null, null, null, null, null, null
  from page p where p.key not in (select h.key from head h)
  order by id
`

/**
 * Claims notifications whose retry is due. `$1` listener, `$2` limit. Of a key only the oldest can have failed, but
 * where a listener became ordered later there may be more: then the oldest comes first.
 */
const claimDue = (schema: string) => /* sql */ `
  select ${columns}
  from ${schema}.notification n
  where n.listener = $1 and n.run_at <= now()
    and not exists (
      select from ${schema}.notification w
      where w.listener = $1 and w.key = n.key and w.run_at is not null and w.id < n.id
    )
  order by n.run_at
  limit $2
  for update skip locked
`

/** The statements that take notifications for one listener, in the transaction of the caller. */
export class Claimer {
  readonly #listener: string
  readonly #order: OrderMode
  readonly #fresh: string
  readonly #due: string

  constructor(schemaName: string, listener: string, order: OrderMode) {
    const schema = identifier(schemaName)
    this.#listener = listener
    this.#order = order
    this.#fresh = order === 'row' ? claimByRow(schema) : claimAny(schema)
    this.#due = claimDue(schema)
  }

  async fresh(db: Queryable, above: bigint, limit: number, blocked: readonly string[]): Promise<Claim> {
    const values: unknown[] = [this.#listener, above, limit]
    if (this.#order === 'row') values.push(blocked)
    const { rows } = await db.query(this.#fresh, values)
    return {
      claimed: rows.filter((row) => row.operation !== null).map(claimedRow),
      blockedKeys: [...new Set(rows.filter((row) => row.operation === null).map((row) => String(row.key)))],
      lowestId: rows.length > 0 ? BigInt(rows[0].id) : null,
      highestId: rows.length > 0 ? BigInt(rows[rows.length - 1].id) : null,
      full: rows.length === limit,
    }
  }

  async due(db: Queryable, limit: number): Promise<Claimed[]> {
    const { rows } = await db.query(this.#due, [this.#listener, limit])
    return rows.map(claimedRow)
  }
}

// biome-ignore lint/suspicious/noExplicitAny: the columns are those of the statements above
function claimedRow(row: any): Claimed {
  return {
    id: BigInt(row.id),
    key: row.key === null ? null : String(row.key),
    operation: row.operation,
    old: row.old,
    new: row.new,
    changed: row.changed,
    context: row.context,
    attempts: row.attempts,
    createdAt: new Date(row.created_at),
  }
}
