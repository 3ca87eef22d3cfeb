import type { Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { closeClient, mediaClient } from './media-client.ts'
import { medianOf, rounded } from './statistics.ts'

const few = 1_000
const callsOfRound = 10

/** One call of `status()` on a large queue that was never analyzed, against the same on 1,000 stored changes. */
export const status: Benchmark = {
  name: 'status',
  about: 'one call of status() on a large queue, never analyzed or vacuumed; against the same on 1,000 stored',
  async run(stage) {
    const many = stage.size(1_000_000, 100_000)
    stage.progress(`storing ${many} changes`)
    await using large = await queueOf(stage.serverUrl, many)
    await using small = await queueOf(stage.serverUrl, few)
    const sides = { ours: () => callsOn(large, many), theirs: () => callsOn(small, few) }
    const { ours, ratio } = await compare(stage, sides, 'ms')
    const against = `status() on ${few} stored`
    return [{ name: 'status', value: rounded(ours, 2), unit: 'ms', against, ratio: rounded(ratio, 3) }]
  },
}

/** A database in which so many changes are stored, as the trigger stores them, and nothing is known of them. */
async function queueOf(serverUrl: string, size: number): Promise<Database> {
  const database = await migratedDatabase(serverUrl)
  const prisma = mediaClient(database.url)
  prisma.media.onPostInsert('status', () => {})
  await prisma.$pubsub.install()
  await closeClient(prisma)
  await database.pool.query('alter table pgpubsub.notification set (autovacuum_enabled = false)')
  await database.pool.query(
    `insert into pgpubsub.notification (listener, operation, key, new, context)
     select 'status', 'insert', n, jsonb_build_object('id', n, 'url', 'file:///media/' || n || '.jpg', 'title', 'picture ' || n), '{}'
     from generate_series(1, $1::int) n`,
    [size],
  )
  return database
}

/** @returns milliseconds of the median call */
async function callsOn(database: Database, size: number): Promise<number> {
  const prisma = mediaClient(database.url)
  const times: number[] = []
  try {
    await prisma.$pubsub.status()
    for (let call = 0; call < callsOfRound; call++) {
      const begun = performance.now()
      const [told] = await prisma.$pubsub.status()
      times.push(performance.now() - begun)
      if (told && Math.abs(told.ready / size - 1) < 0.05) continue
      throw new Error(`status() tells of ${told?.ready} ready changes, and ${size} are stored.`)
    }
  } finally {
    await closeClient(prisma)
  }
  return medianOf(times)
}
