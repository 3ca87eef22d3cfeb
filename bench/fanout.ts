import { PubSub, silentLogger } from '@pgpubsub/core'
import type { Benchmark, Figure, Stage } from './benchmark.ts'
import { milliseconds } from './clock.ts'
import { type Database, migratedDatabase } from './database.ts'
import { medianOf, rounded } from './statistics.ts'

const counts = [0, 1, 5, 20]

/** What each listener on a table adds to a write. */
export const fanout: Benchmark = {
  name: 'fanout',
  about: 'what a write costs for each listener, with 1, 5 and 20 of them on the table; against 1',
  run: fanoutFigures,
}

async function fanoutFigures(stage: Stage): Promise<Figure[]> {
  const rows = stage.size(10_000, 2_000)
  const databases = await Promise.all(counts.map(() => migratedDatabase(stage.serverUrl)))
  try {
    for (const [index, database] of databases.entries()) await installListeners(database, counts[index] as number)
    const rounds: number[][] = []
    for (let round = 0; round <= stage.rounds; round++) {
      const times: number[] = []
      for (const [index, database] of databases.entries()) {
        times.push(await timeOf(database, rows, counts[index] as number))
      }
      stage.progress(`round ${round}: ${times.map((time) => time.toFixed(0)).join(', ')} ms`)
      // the first one warms up
      if (round > 0) rounds.push(times)
    }
    // microseconds per row and listener, beyond what the row costs without any
    const costs = counts.map((count, index) =>
      rounds.map((times) => (((times[index] as number) - (times[0] as number)) * 1000) / rows / count),
    )
    return counts.slice(1).map((count, index) => ({
      name: `fanout-${count}`,
      value: rounded(medianOf(costs[index + 1] as number[]), 1),
      unit: 'µs',
      against: 'one listener',
      ratio: rounded(medianOf((costs[index + 1] as number[]).map((cost, round) => cost / (costs[1]?.[round] ?? 0))), 2),
      ...(count > 1 && { goal: 1.1 }),
    }))
  } finally {
    await Promise.all(databases.map((database) => database[Symbol.asyncDispose]()))
  }
}

async function installListeners(database: Database, count: number): Promise<void> {
  const core = new PubSub({ connectionString: database.url, logger: silentLogger })
  for (let number = 1; number <= count; number++) {
    core.onChange({ name: `listener ${number}`, table: 'media', operations: ['insert'] }, () => {})
  }
  await core.install()
  await core.close()
}

async function timeOf({ pool }: Database, rows: number, listeners: number): Promise<number> {
  await pool.query('truncate media cascade; truncate pgpubsub.notification')
  await pool.query('checkpoint')
  const took = await milliseconds(() =>
    pool.query(
      `insert into media (url, title) select 'file:///media/1.jpg', 'a picture' from generate_series(1, ${rows})`,
    ),
  )
  const [stored] = (await pool.query('select count(*)::int as count from pgpubsub.notification')).rows
  if (stored.count === rows * listeners) return took
  throw new Error(`${stored.count} notifications were stored instead of ${rows * listeners}.`)
}
