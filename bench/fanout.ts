import { PubSub, silentLogger } from '@pgpubsub/core'
import type { Benchmark, Figure, Stage } from './benchmark.ts'
import { milliseconds } from './clock.ts'
import { type Comparison, compareAll } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { rounded } from './statistics.ts'
import { expectStored } from './stored.ts'

/**
 * What each listener on a table adds to a write. All of them store equally many notifications, fewer listeners those of
 * more rows: the index is as deep in the end, and as much is written to the WAL and to disk.
 */
export const fanout: Benchmark = {
  name: 'fanout',
  about: 'what a notification costs its writer, with 1, 5 and 20 listeners on the table; against 1',
  run: fanoutFigures,
}

async function fanoutFigures(stage: Stage): Promise<Figure[]> {
  const stored = 20 * stage.size(2_500, 500)
  await using database = await migratedDatabase(stage.serverUrl)
  await installListeners(database, 20)
  const cost = (listeners: number) => () => costOf(database, listeners, stored)
  await cost(20)()
  // they differ by little: three rounds would tell more of the machine
  const often = { ...stage, rounds: stage.rounds * 2 }
  const [five, twenty] = (await compareAll(often, [cost(5), cost(20)], cost(1), 'µs')) as [Comparison, Comparison]
  const told = (listeners: number, value: number, ratio: number, goal?: number): Figure => {
    const name = `fanout-${listeners}`
    return { name, value: rounded(value, 1), unit: 'µs', against: 'one listener', ratio: rounded(ratio, 2), goal }
  }
  return [told(1, five.theirs, 1), told(5, five.ours, five.ratio, 1.1), told(20, twenty.ours, twenty.ratio, 1.1)]
}

async function installListeners(database: Database, count: number): Promise<void> {
  const core = new PubSub({ connectionString: database.url, logger: silentLogger })
  for (let number = 1; number <= count; number++) {
    core.onChange({ name: `listener ${number}`, table: 'media', operations: ['insert'] }, () => {})
  }
  await core.install()
  await core.close()
}

/** @returns microseconds of a notification, beyond what its row costs without any listener */
async function costOf(database: Database, listeners: number, stored: number): Promise<number> {
  const rows = stored / listeners
  const without = await timeOf(database, rows, 0)
  const took = await timeOf(database, rows, listeners)
  return ((took - without) * 1000) / stored
}

async function timeOf(database: Database, rows: number, listeners: number): Promise<number> {
  const { pool } = database
  await pool.query('alter table media disable trigger user; truncate media cascade; truncate pgpubsub.notification')
  for (let number = 1; number <= listeners; number++) {
    await pool.query(`alter table media enable trigger "~pgpubsub insert listener ${number}"`)
  }
  await pool.query('checkpoint')
  const took = await milliseconds(() =>
    pool.query(
      `insert into media (url, title) select 'file:///media/1.jpg', 'a picture' from generate_series(1, ${rows})`,
    ),
  )
  await expectStored(database, rows * listeners)
  return took
}
