import { Program } from './program.ts'
import { expect, type TestDatabase, vi } from './test.ts'

/** Users to be created. */
export const emails = (count: number) => Array.from({ length: count }, (_, i) => ({ email: `${i + 1}@example.org` }))

/** Where handlers count, with their tx, how often each user's change was handled. */
export const createCounter = (database: TestDatabase) =>
  database.sql('create table counter (id int primary key, count int not null)')

/** Workers count changes and are killed, two at a time, and the last one does the rest: then each was counted once. */
export async function countThroughKills(
  database: TestDatabase,
  { adapter, changes, kills }: { adapter: 'carrying' | 'plain'; changes: number; kills: number },
): Promise<void> {
  await createCounter(database)
  const prisma = database.prisma()
  prisma.user.onPostInsert({ name: 'count', transactional: true }, () => {})
  await prisma.$pubsub.install()
  await prisma.user.createMany({ data: emails(changes) })
  const left = async () => (await database.notifications()).length
  const runUntil = async (most: number) => {
    const worker = new Program(database, 'counting-worker.ts', { ADAPTER: adapter })
    await worker.message()
    await vi.waitFor(async () => expect(await left()).toBeLessThanOrEqual(most), { timeout: 60_000, interval: 3 })
    await worker.kill()
  }

  // between kills they do a part of what there is
  const lives = Math.ceil(kills / 2)
  const killing = Array.from({ length: Math.min(kills, 2) }, async () => {
    for (let kill = 0; kill < lives; kill++) {
      await runUntil(Math.max(0, (await left()) - Math.ceil((Math.random() * changes) / (lives + 1))))
    }
  })
  await Promise.all(killing)
  await runUntil(0)

  expect(await database.sql('select count(*)::int, min(count), max(count) from counter')).toEqual([
    { count: changes, min: 1, max: 1 },
  ])
  expect(await database.sql(`select count(*)::int from "user" where name = 'x'`)).toEqual([{ count: changes / 10 }])
}
