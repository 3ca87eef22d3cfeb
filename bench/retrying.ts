import { silentLogger } from '@pgpubsub/prisma-extension'
import type { Benchmark, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { copyOf, type Database, migratedDatabase } from './database.ts'
import { closeClient, mediaClient } from './media-client.ts'
import { drainMedia, installListener, storeMedia, updateMedia } from './media-updates.ts'
import { perSecond, rounded } from './statistics.ts'
import { expectReady, expectStored } from './stored.ts'
import { Tally } from './tally.ts'

const anHour = { type: 'fixed', firstMs: 3_600_000 } as const

/** How fast what is ready is handled while much more waits for its retry, against the same where nothing waits. */
export const retrying: Benchmark = {
  name: 'retrying',
  about: '10,000 ready changes while 100,000 others wait for their retry; against the same without those',
  async run(stage) {
    const ready = stage.size(10_000, 2_000)
    const waiting = ready * 10
    stage.progress(`storing ${waiting} changes, and letting their handler fail`)
    await using busy = await queueOf(stage, waiting, ready)
    await using idle = await queueOf(stage, 0, ready)
    const sides = { ours: () => rateOn(stage, busy, waiting, ready), theirs: () => rateOn(stage, idle, 0, ready) }
    // a round is short
    const { ours, ratio } = await compare({ ...stage, rounds: stage.rounds * 3 }, sides, 'per second')
    const against = 'the same with nothing waiting'
    return [{ name: 'retrying', value: rounded(ours), unit: 'changes/s', against, ratio: rounded(ratio, 3), goal: 0.9 }]
  },
}

/** A database in which the changes of the first rows wait for their retry, and those of the rows behind them are ready. */
async function queueOf(stage: Stage, waiting: number, ready: number): Promise<Database> {
  const database = await migratedDatabase(stage.serverUrl)
  await installListener(database)
  await storeMedia(database, waiting)
  await updateMedia(database, 1, waiting, 1)
  if (waiting > 0) await failAll(database, waiting)
  await storeMedia(database, ready)
  await updateMedia(database, waiting + 1, waiting + ready, 1)
  await expectReady(database, ready)
  await database.pool.query('vacuum analyze')
  await database.disconnect()
  return database
}

/** Puts off all that is stored, as a worker does whose handler fails. */
async function failAll(database: Database, size: number): Promise<void> {
  const prisma = mediaClient(database.url)
  prisma.$pubsub.logTo(silentLogger)
  prisma.media.onPostUpdate({ name: 'drain', backoff: anHour }, () => {
    throw new Error('This handler always fails.')
  })
  let failed = 0
  const all = new Promise<void>((resolve, reject) => {
    prisma.$pubsub.on('failed', () => ++failed === size && resolve())
    prisma.$pubsub.on('error', ({ error }) => reject(error))
  })
  await prisma.$pubsub.listen()
  await all
  await closeClient(prisma)
  await expectStored(database, size)
  await expectReady(database, 0)
}

async function rateOn(stage: Stage, queue: Database, waiting: number, ready: number): Promise<number> {
  await using copy = await copyOf(stage.serverUrl, queue)
  await warm(copy)
  const tally = new Tally(ready)
  const handle = ({ id }: { id: number }) => tally.count(id - waiting)
  const { sinceFirstChange } = await drainMedia(copy, tally, { handle, left: waiting })
  return perSecond(ready, sinceFirstChange)
}

/** What was put off a moment ago is in memory, and that of a copy is not: its pages are read once. */
async function warm(database: Database): Promise<void> {
  await database.pool.query(`set enable_seqscan = off; set enable_bitmapscan = off;
    select count(id) from pgpubsub.notification where waiting_key is not null;
    select count(id) from pgpubsub.notification where run_at is not null;
    select count(id) from pgpubsub.notification where listener = 'drain' and old is not null`)
  await database.pool.query('select count(context) from pgpubsub.notification')
}
