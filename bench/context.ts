import { pubsub, pubsubAdapter, silentLogger } from '@pgpubsub/prisma-extension'
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from '../prisma/generated/client.ts'
import type { Benchmark, Figure, Stage } from './benchmark.ts'
import { milliseconds } from './clock.ts'
import { type Database, migratedDatabase } from './database.ts'
import { closeClient, type MediaClient } from './media-client.ts'
import { medianOf, rounded } from './statistics.ts'

/** What the context of a request adds to a single write. */
export const context: Benchmark = {
  name: 'context',
  about: 'a single write with context, by pubsubAdapter and by PrismaPg; against the same write without context',
  run: contextFigures,
}

const adapters = {
  context: { with: pubsubAdapter, goal: 1.15 },
  'context-plain': { with: (config: { connectionString: string }) => new PrismaPg(config) },
}

async function contextFigures(stage: Stage): Promise<Figure[]> {
  const writes = stage.size(1_500, 300)
  const figures: Figure[] = []
  for (const [name, adapter] of Object.entries(adapters)) {
    await using database = await migratedDatabase(stage.serverUrl)
    const config = { connectionString: database.url }
    const client = new PrismaClient({ adapter: adapter.with(config) }).$extends(
      pubsub({ ...config, logger: silentLogger }),
    )
    try {
      const { ours, ratio } = await measure(client as MediaClient, database, writes)
      stage.progress(`${name}: ${ours.toFixed(3)} ms, ${ratio.toFixed(3)} of without context`)
      figures.push({
        name,
        value: rounded(ours, 3),
        unit: 'ms',
        against: 'the same write without context',
        ratio: rounded(ratio, 3),
        ...('goal' in adapter && { goal: adapter.goal }),
      })
    } finally {
      await closeClient(client as MediaClient)
    }
  }
  return figures
}

/** One write with, one without, in turn: the medians of each. */
async function measure(prisma: MediaClient, { pool }: Database, writes: number) {
  prisma.user.onPostInsert('context', () => {})
  await prisma.$pubsub.install()
  let number = 0
  const create = () => prisma.user.create({ data: { email: `${number++}@example.com` } })
  const withContext = () => prisma.$pubsub.withContext({ userId: 7 }, create)
  for (let warmUp = 0; warmUp < writes / 5; warmUp++) {
    await create()
    await withContext()
  }
  await pool.query('truncate pgpubsub.notification')
  const times = { with: [] as number[], without: [] as number[] }
  for (let write = 0; write < writes; write++) {
    times.with.push(await milliseconds(withContext))
    times.without.push(await milliseconds(create))
  }
  const [stored] = (
    await pool.query(
      `select count(*) filter (where context = '{"userId": 7}')::int as "with", count(*)::int as "all" from pgpubsub.notification`,
    )
  ).rows
  if (stored.with !== writes || stored.all !== 2 * writes) {
    throw new Error(
      `Of ${stored.all} changes ${stored.with} have the context; it should be ${writes} of ${2 * writes}.`,
    )
  }
  const [ours, theirs] = [medianOf(times.with), medianOf(times.without)]
  return { ours, ratio: ours / theirs }
}
