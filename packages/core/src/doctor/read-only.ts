import type { Connection, Pool } from '../database.js'
import { onConnection, rollBack } from '../install/on-connection.js'

// Nobody else's functions or operators are run. A table without rows as the planner knows it may have a million by now: the indexes are right at any size.
const begin = /* sql */ `begin isolation level read committed read only;
  set local search_path = pg_catalog, pg_temp;
  set local statement_timeout = '15s'; set local lock_timeout = '2s';
  set local enable_seqscan = off; set local enable_bitmapscan = off; set local jit = off`

/** Runs `look` in a transaction that can write nothing, waits for no lock, and ends with it. */
export function readOnly<T>(pool: Pool, look: (connection: Connection) => Promise<T>): Promise<T> {
  return onConnection(pool, async (connection) => {
    try {
      await connection.query(begin)
      return await look(connection)
    } finally {
      await rollBack(connection)
    }
  })
}
