import { type Database, migratedDatabase } from './database.ts'
import { closeClient, mediaClient } from './media-client.ts'
import type { Tally } from './tally.ts'

/*
 * The work of `drain`: `size` updates of the Media model, stored by the trigger with old and new. The handler does
 * nothing but look at a field of both.
 */

/** A database in which the updates of the media 1 to `size` wait to be handled. Copy it for each round. */
export async function backlogOf(serverUrl: string, size: number): Promise<Database> {
  const database = await migratedDatabase(serverUrl)
  const prisma = mediaClient(database.url)
  prisma.media.onPostUpdate('drain', () => {})
  await prisma.$pubsub.install()
  await closeClient(prisma)
  await database.pool.query(
    `insert into media (url, title) select 'file:///media/' || n || '.jpg', 'picture ' || n from generate_series(1, $1::int) n`,
    [size],
  )
  await database.pool.query(
    `update media set title = title || ', scanned', scanned_at = now(), status = 'scanned clean'`,
  )
  await expectStored(database, size)
  await database.pool.query('vacuum analyze')
  return database
}

/** Handles everything that is stored, in this process and with the defaults. @returns milliseconds, connecting included */
export async function drainBacklog(database: Database, tally: Tally): Promise<number> {
  const prisma = mediaClient(database.url)
  try {
    prisma.media.onPostUpdate('drain', ({ old, new: media }) => {
      if (old.title !== media.title) tally.count(media.id)
    })
    const failure = new Promise<never>((_, reject) => {
      prisma.$pubsub.on('error', ({ error }) => reject(error))
      prisma.$pubsub.on('failed', ({ error }) => reject(error))
    })
    const drained = new Promise<void>((resolve) => prisma.$pubsub.on('drained', () => resolve()))
    const begun = performance.now()
    await prisma.$pubsub.listen()
    await Promise.race([drained, failure])
    const milliseconds = performance.now() - begun
    tally.expectEachOnce('The worker')
    await expectStored(database, 0)
    return milliseconds
  } finally {
    await closeClient(prisma)
  }
}

/** @throws when not exactly so many notifications are stored. */
export async function expectStored(database: Database, expected: number): Promise<void> {
  const { rows } = await database.pool.query('select count(*)::int as stored from pgpubsub.notification')
  if (rows[0].stored === expected) return
  throw new Error(`${rows[0].stored} notifications are stored where there should be ${expected}.`)
}
