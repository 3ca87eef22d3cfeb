import pg from 'pg'
import type { Benchmark, Figure, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { installListener, storeMedia } from './media-updates.ts'
import { type MediaWorker, startMediaWorker } from './media-worker.ts'
import { MediaWriter } from './media-writer.ts'
import { perSecond, rounded } from './statistics.ts'

const writtenPerSecond = 800
const goal = 0.95
const against = 'the same with no transaction held open'

/** Live changes and bursts behind them, while a transaction that is held open keeps vacuum from removing anything. */
export const pinned: Benchmark = {
  name: 'pinned',
  about: `${writtenPerSecond} changes/s for 3 minutes while a transaction is held open, then bursts; against the same without it`,
  async run(stage) {
    const seconds = stage.size(180, 5)
    const burst = stage.size(40_000, 5_000)
    await using held = await startSide(stage, burst)
    await using free = await startSide(stage, burst)
    await using _reader = await holdTransaction(held, 'select from media limit 1')
    stage.progress(`${seconds} s of ${writtenPerSecond} changes/s in both databases`)
    const [heldLive, freeLive] = await Promise.all([live(held, seconds), live(free, seconds)])
    stage.progress(
      `at the end ${rounded(heldLive.rate)} changes/s, against ${rounded(freeLive.rate)}; ${heldLive.dead} dead rows, against ${freeLive.dead}`,
    )
    const bursts = { ours: () => burstRate(held, burst), theirs: () => burstRate(free, burst) }
    // a burst is short
    const often = { ...stage, rounds: stage.rounds * 2 }
    const reading = await compare(often, bursts, 'per second')
    const ours = async () => {
      await using _writer = await holdTransaction(held, 'select pg_current_xact_id()')
      return burstRate(held, burst)
    }
    stage.progress('the same, with another transaction held open that writes')
    const writing = await compare(often, { ...bursts, ours }, 'per second')
    return [
      rateFigure('pinned', reading.ours, reading.ratio),
      rateFigure('pinned-by-writer', writing.ours, writing.ratio),
      rateFigure('pinned-live', heldLive.rate, heldLive.rate / freeLive.rate),
      deadFigure(heldLive.dead, freeLive.dead),
    ]
  },
}

function rateFigure(name: string, rate: number, ratio: number): Figure {
  return { name, value: rounded(rate), unit: 'changes/s', against, ratio: rounded(ratio, 3), goal }
}

function deadFigure(held: number, free: number): Figure {
  return { name: 'pinned-dead', value: held, unit: 'rows', against, ratio: rounded(held / Math.max(1, free), 1) }
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

/**
 * A transaction whose snapshot holds back vacuum in this database. One that only reads does so in no other; one that has
 * a transaction id would, through the snapshots that are taken there meanwhile.
 */
async function holdTransaction({ database }: Side, statement: string): Promise<AsyncDisposable> {
  const client = new pg.Client(database.url)
  await client.connect()
  await client.query('begin isolation level repeatable read')
  await client.query(statement)
  return { [Symbol.asyncDispose]: () => client.end() }
}

/** Writes and handles for so long. The rate is that of the last sixth of the time: 30 seconds of 3 minutes. */
async function live({ database, worker, writer }: Side, seconds: number): Promise<{ rate: number; dead: number }> {
  await writer.writeFor((seconds * 5) / 6, writtenPerSecond)
  const [handled, begun] = [worker.handled, performance.now()]
  await writer.writeFor(seconds / 6, writtenPerSecond)
  const rate = perSecond(worker.handled - handled, performance.now() - begun)
  await worker.until(writer.written)
  return { rate, dead: await deadRows(database) }
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
