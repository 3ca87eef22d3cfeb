import type { Queryable } from '../database.js'
import { identifier } from '../quote.js'

/** Milliseconds until the listener's next retry is due, 0 where one is overdue, null where none waits. */
export async function untilNextRetry(db: Queryable, schema: string, listener: string): Promise<number | null> {
  const { rows } = await db.query(
    `select extract(epoch from n.run_at - now()) * 1000 as milliseconds
     from ${identifier(schema)}.notification n
     where n.listener = $1 and n.run_at is not null
     order by n.run_at limit 1`,
    [listener],
  )
  return rows[0] ? Math.max(0, Number(rows[0].milliseconds)) : null
}
