import type { Connection, Pool } from '../database.js'
import { onConnection, rollBack } from './on-connection.js'

/*
 * Whoever may create functions or operators in a schema of our search_path (before PostgreSQL 15 everybody, in `public`)
 * can offer ones that fit a call better than PostgreSQL's own, and would have them run with our rights. So
 * what asks much (an installation, status(), the doctor) looks at nothing but PostgreSQL's own.
 */

/** A column of a select that sets it for the rest of the transaction. */
export const setSafePath = `set_config('search_path', 'pg_catalog, pg_temp', true)`

const begin = /* sql */ `begin isolation level read committed; select ${setSafePath}`

/** Runs `work` in a transaction of its own that finds PostgreSQL's functions and operators only. */
export function onSafePath<T>(pool: Pool, work: (connection: Connection) => Promise<T>): Promise<T> {
  return onConnection(pool, async (connection) => {
    try {
      await connection.query(begin)
      const result = await work(connection)
      await connection.query('commit')
      return result
    } catch (error) {
      await rollBack(connection)
      throw error
    }
  })
}
