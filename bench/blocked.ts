import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import pg from 'pg'
import { PrismaClient } from '../prisma/generated/client.ts'
import type { Benchmark, Stage } from './benchmark.ts'
import { ClaimClock } from './claim-clock.ts'
import { type Database, migratedDatabase } from './database.ts'
import { installListener, storeMedia, updateMedia } from './media-updates.ts'
import { type MediaWorker, startMediaWorker } from './media-worker.ts'
import { medianOf, rounded } from './statistics.ts'
import { expectStored, untilNoneReady } from './stored.ts'

const batchSize = 100
const lockedRows = 161
const behindThem = 8_857
const free = 1_000

/** One claim behind rows that others have locked. */
export const blocked: Benchmark = {
  name: 'blocked',
  about: `one claim of ${batchSize}, where ${lockedRows} rows are locked by others and ${behindThem.toLocaleString('en')} changes wait behind them; against 1 ms`,
  async run(stage) {
    const times = await claimTimes(stage, lockedRows)
    const value = medianOf(times)
    stage.progress(
      `${value.toFixed(2)} ms; ${medianOf(await claimTimes(stage, 0)).toFixed(2)} ms where nothing is locked`,
    )
    return [
      { name: 'blocked', value: rounded(value, 2), unit: 'ms', against: '1 ms', ratio: rounded(value, 3), goal: 1 },
    ]
  },
}

/** Milliseconds of the claims that take what is free, while the oldest change of each of the first rows is locked. */
async function claimTimes(stage: Stage, locked: number): Promise<number[]> {
  const rounds = stage.size(20, 3)
  await using database = await migratedDatabase(stage.serverUrl)
  await installListener(database)
  await storeMedia(database, locked + free)
  const stored = await storeBlocked(database, locked)
  await using locks = await lockHeads(database, locked)
  const clock = new ClaimClock(batchSize)
  await using pool = clock.poolOn(database.url)
  await using worker = await startWorkerOn(pool, database, clock)
  for (let round = 1; round <= rounds; round++) {
    await updateMedia(database, locked + 1, locked + free, round)
    await worker.until(free * round)
  }
  const times = [...clock.times]
  await locks[Symbol.asyncDispose]()
  await worker.until(free * rounds + stored)
  await untilNoneReady(database)
  await expectStored(database, 0)
  return times
}

/** One change for each of the rows, and 8,857 behind them. */
async function storeBlocked(database: Database, rows: number): Promise<number> {
  if (rows === 0) return 0
  const stored = rows + behindThem
  for (let update = 1, left = stored; left > 0; update++, left -= rows)
    await updateMedia(database, 1, Math.min(rows, left), update)
  await expectStored(database, stored)
  return stored
}

/** Locks the oldest notification of each row, as a worker does that handles it. */
async function lockHeads(database: Database, rows: number): Promise<AsyncDisposable> {
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query('begin')
  const { rowCount } = await client.query(
    `select from pgpubsub.notification where id in (select min(id) from pgpubsub.notification group by key) for update`,
  )
  if (rowCount !== rows) throw new Error(`${rowCount} notifications were locked where there should be ${rows}.`)
  let ended: Promise<void> | undefined
  const end = () => {
    // a transaction that is aborted is that of a worker that died
    ended ??= client.query('commit').then(() => client.end())
    return ended
  }
  return { [Symbol.asyncDispose]: end }
}

/** On the connections of a pool whose statements can be told one from another. */
function startWorkerOn(pool: pg.Pool, { url }: Database, clock: ClaimClock): Promise<MediaWorker> {
  const adapter = pubsubAdapter({ connectionString: url })
  const prisma = new PrismaClient({ adapter }).$extends(pubsub({ pool }))
  return startMediaWorker(url, { prisma, listener: { batchSize }, onChange: () => clock.handled() })
}
