import { type ListenerDefaults, silentLogger } from '@pgpubsub/prisma-extension'
import { type Database, migratedDatabase } from './database.ts'
import { closeClient, type MediaClient, mediaClient } from './media-client.ts'
import { expectReady, expectStored, untilNoneReady } from './stored.ts'
import type { Tally } from './tally.ts'

/*
 * The work of most benchmarks: updates of the Media model, stored by the trigger with old and new, and handled by a
 * handler that does nothing but look at a field of both.
 */

export interface BacklogOptions {
  /** How often each row is updated. */
  readonly updatesOfEach?: number
  readonly listener?: ListenerDefaults
}

/** A database in which updates of the media 1 to `rows` wait to be handled. Copy it for each round. */
export async function backlogOf(serverUrl: string, rows: number, options: BacklogOptions = {}): Promise<Database> {
  const { updatesOfEach = 1, listener = {} } = options
  const database = await migratedDatabase(serverUrl)
  await installListener(database, listener)
  await storeMedia(database, rows)
  for (let update = 1; update <= updatesOfEach; update++) await updateMedia(database, 1, rows, update)
  await expectStored(database, rows * updatesOfEach)
  await database.pool.query('vacuum analyze')
  return database
}

/** Installs the listener `drain`, which hears of updates. */
export async function installListener(database: Database, listener: ListenerDefaults = {}): Promise<void> {
  const prisma = mediaClient(database.url)
  prisma.media.onPostUpdate({ name: 'drain', ...listener }, () => {})
  await prisma.$pubsub.install()
  await closeClient(prisma)
}

/** Writes so many media, of which nobody hears. Their ids go on from the last one. */
export async function storeMedia(database: Database, count: number): Promise<void> {
  await database.pool.query(
    `insert into media (url, title) select 'file:///media/' || n || '.jpg', 'picture 0' from generate_series(1, $1::int) n`,
    [count],
  )
}

/** Updates the media with the ids `from` to `to` by one statement, for the `update`-th time; the listener hears of each. */
export async function updateMedia(database: Database, from: number, to: number, update: number): Promise<void> {
  await database.pool.query(
    `update media set title = $3, scanned_at = now(), status = 'scanned clean' where id between $1 and $2`,
    [from, to, `picture ${update}`],
  )
}

/** What a handler is given of a row. */
export interface Media {
  readonly id: number
  readonly title: string | null
}

/** Which update of its row it was, counted from 1. */
export const updateOf = ({ title }: Media) => Number(title?.slice('picture '.length))

export interface DrainOptions {
  readonly listener?: ListenerDefaults
  /** How many workers there are in this process. */
  readonly workers?: number
  /** How many notifications are stored at the end: those that nobody could take. */
  readonly left?: number
  /** Counts what was handled, and throws where that should not have been now. */
  readonly handle?: (media: Media) => void
}

/** Milliseconds until all is gone. */
export interface DrainTime {
  /** Connecting included. */
  readonly total: number
  readonly sinceFirstChange: number
}

/** Handles everything that is ready, in this process. @throws where a handler failed, or not everything was handled once */
export async function drainMedia(database: Database, tally: Tally, options: DrainOptions = {}): Promise<DrainTime> {
  const { listener = {}, workers = 1, left = 0, handle = ({ id }) => tally.count(id) } = options
  await expectReady(database, tally.size)
  const prisma = mediaClient(database.url)
  try {
    let firstAt = 0
    prisma.media.onPostUpdate({ name: 'drain', ...listener }, ({ old, new: media }) => {
      firstAt ||= performance.now()
      if (old.title !== media.title) handle(media)
    })
    const failed = failureOf(prisma)
    const drained = new Promise<void>((resolve) => prisma.$pubsub.on('drained', () => resolve()))
    const begun = performance.now()
    await Promise.all(Array.from({ length: workers }, () => prisma.$pubsub.listen()))
    await Promise.race([tally.complete, failed])
    // to ask the database would disturb one worker, which can tell; of several each tells for itself
    await Promise.race([workers === 1 ? drained : untilNoneReady(database), failed])
    const end = performance.now()
    tally.expectEachOnce('The worker')
    await expectStored(database, left)
    return { total: end - begun, sinceFirstChange: end - firstAt }
  } finally {
    await closeClient(prisma)
  }
}

/** Rejects when something fails that should not, a handler or a connection. Nothing is logged any more. */
export function failureOf(prisma: MediaClient): Promise<never> {
  prisma.$pubsub.logTo(silentLogger)
  const failure = new Promise<never>((_, reject) => {
    prisma.$pubsub.on('error', ({ error }) => reject(error))
    prisma.$pubsub.on('failed', ({ error }) => reject(error))
  })
  failure.catch(() => {}) // whoever waits is told
  return failure
}
