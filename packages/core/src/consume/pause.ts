import type { Queryable } from '../database.js'
import { listenerNotInstalled, requiresEngine } from '../install/not-installed.js'
import { identifier, literal } from '../quote.js'

// The statement that finds a listener also wakes its workers, when it commits.
const setPaused = (schema: string, channel: string) => /* sql */ `
  update ${schema}.listener set paused = $2 where name = $1
  returning pg_notify(${literal(channel)}, name)::text
`

/** Asked with each batch. `listener` is SQL. */
export const isPaused = (schema: string, listener: string) =>
  `coalesce((select l.paused from ${schema}.listener l where l.name = ${listener}), false)`

/**
 * Keeps in the database whether the listener's notifications are consumed, and tells its workers.
 * @throws PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED
 */
export async function pauseListener(
  db: Queryable,
  schema: string,
  listener: string,
  { paused, declared }: { paused: boolean; declared: boolean },
): Promise<void> {
  const { rows } = await requiresEngine(schema, () =>
    db.query(setPaused(identifier(schema), schema), [listener, paused]),
  )
  if (rows.length === 0) throw listenerNotInstalled(schema, listener, declared)
}
