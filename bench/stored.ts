import type { Database } from './database.ts'

/** @throws when not exactly so many notifications are stored. */
export async function expectStored(database: Database, expected: number): Promise<void> {
  await expectStoredIn(database, 'pgpubsub.notification', expected)
}

/** The same of a table that is like ours. */
export async function expectStoredIn(database: Database, table: string, expected: number): Promise<void> {
  await expectCount(database, `select count(*)::int as stored from ${table}`, expected)
}

/** @throws when not exactly so many notifications are ready to be handled. */
export async function expectReady(database: Database, expected: number): Promise<void> {
  await expectCount(database, 'select count(*)::int as stored from pgpubsub.notification where not waiting', expected)
}

async function expectCount(database: Database, count: string, expected: number): Promise<void> {
  const { rows } = await database.pool.query(count)
  if (rows[0].stored === expected) return
  throw new Error(`${rows[0].stored} notifications are stored where there should be ${expected}.`)
}

/** Waits until nothing is ready: what was handled is deleted, and that is committed. */
export async function untilNoneReady(database: Database): Promise<void> {
  const left = 'select exists (select from pgpubsub.notification where not waiting) as left'
  while ((await database.pool.query(left)).rows[0].left) {}
}
