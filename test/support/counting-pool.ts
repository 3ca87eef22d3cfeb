import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { TestDatabase } from './test.ts'

/** A pool for an engine, closed after the test, that counts how often a connection was taken: once for each claim. */
export function countingPool(database: TestDatabase): { pool: pg.Pool; taken: () => number } {
  const pool = new pg.Pool({ connectionString: database.url, application_name: 'pgpubsub' })
  let taken = 0
  pool.on('acquire', () => taken++)
  pool.on('error', () => {})
  database.closeLater(() => pool.end())
  return { pool, taken: () => taken }
}

/** A stretch of time over which something is counted that should happen seldom: there is nothing to wait for. */
export const passing = (milliseconds: number): Promise<void> => sleep(milliseconds)
