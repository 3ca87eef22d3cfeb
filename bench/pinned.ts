import pg from 'pg'
import type { Benchmark, Figure, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { installListener, storeMedia } from './media-updates.ts'
import { type MediaWorker, startMediaWorker } from './media-worker.ts'
import { MediaWriter } from './media-writer.ts'
import { perSecond, rounded } from './statistics.ts'

const writtenPerSecond = 800

/** Live changes and a burst behind them, while a transaction that is held open keeps vacuum from removing anything. */
export const pinned: Benchmark = {
  name: 'pinned',
  about: `${writtenPerSecond} changes/s for 3 minutes while a transaction is held open, then a burst; against the same without it`,
  async run(stage) {
    const seconds = stage.size(180, 5)
    const burst = stage.size(20_000, 5_000)
    await using held = await startSide(stage, burst)
    await using free = await startSide(stage, burst)
    await using _transaction = await holdTransaction(held.database)
    stage.progress(`${seconds} s of ${writtenPerSecond} changes/s in both databases`)
    const [heldRate, freeRate] = (await Promise.all([held, free].map((side) => liveRate(side, seconds)))) as [
      number,
      number,
    ]
    const [heldDead, freeDead] = (await Promise.all([held, free].map(({ database }) => deadRows(database)))) as [
      number,
      number,
    ]
    stage.progress(
      `at the end ${rounded(heldRate)} changes/s handled, against ${rounded(freeRate)}; ${heldDead} dead rows, against ${freeDead}`,
    )
    const sides = { ours: () => burstRate(held, burst), theirs: () => burstRate(free, burst) }
    const { ours, ratio } = await compare(stage, sides, 'per second')
    const against = 'the same with no transaction held open'
    return [
      { name: 'pinned', value: rounded(ours), unit: 'changes/s', against, ratio: rounded(ratio, 3), goal: 0.95 },
      {
        name: 'pinned-live',
        value: rounded(heldRate),
        unit: 'changes/s',
        against,
        ratio: rounded(heldRate / freeRate, 3),
        goal: 0.95,
      },
      {
        name: 'pinned-dead',
        value: heldDead,
        unit: 'rows',
        against,
        ratio: rounded(heldDead / Math.max(1, freeDead), 1),
      },
    ] satisfies Figure[]
  },
}

/** A database with its writer and its worker. Both sides run at the same time: what disturbs one disturbs the other. */
interface Side extends AsyncDisposable {
  readonly database: Database
  readonly worker: MediaWorker
  readonly writer: MediaWriter
}

async function startSide(stage: Stage, rows: number): Promise<Side> {
  const database = await migratedDatabase(stage.serverUrl)
  await installListener(database)
  await storeMedia(database, rows)
  const worker = await startMediaWorker(database.url)
  const end = async () => {
    await worker[Symbol.asyncDispose]()
    await database[Symbol.asyncDispose]()
  }
  return { database, worker, writer: new MediaWriter(database, rows), [Symbol.asyncDispose]: end }
}

/** Holds back vacuum in this database, and the transaction ids by which a worker knows that older writers have ended. */
async function holdTransaction(database: Database): Promise<AsyncDisposable> {
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query('begin isolation level repeatable read')
  await client.query('select pg_current_xact_id()')
  return { [Symbol.asyncDispose]: () => client.end() }
}

/** @returns what was handled per second in the last sixth of the time: 30 seconds of 3 minutes */
async function liveRate({ worker, writer }: Side, seconds: number): Promise<number> {
  await writer.writeFor((seconds * 5) / 6, writtenPerSecond)
  const [handled, begun] = [worker.handled, performance.now()]
  await writer.writeFor(seconds / 6, writtenPerSecond)
  const rate = perSecond(worker.handled - handled, performance.now() - begun)
  await worker.until(writer.written)
  return rate
}

/** Changes of one statement, from its end until all are handled. */
async function burstRate({ worker, writer }: Side, size: number): Promise<number> {
  await writer.write(size)
  const begun = performance.now()
  await worker.until(writer.written)
  return perSecond(size, performance.now() - begun)
}

async function deadRows(database: Database): Promise<number> {
  const { rows } = await database.pool.query(
    `select n_dead_tup::int as dead from pg_stat_user_tables where relid = 'pgpubsub.notification'::regclass`,
  )
  return rows[0].dead
}
