import { createItems, noPoll, onItem } from './support/items.ts'
import { expect, test, vi } from './support/test.ts'

test('changes made while no worker ran are handled when one starts, before any new one: five of five', async ({
  database,
}) => {
  const prisma = database.prisma(noPoll)
  const handled: (string | null)[] = []
  prisma.media.onPostInsert('scan', ({ new: media }) => {
    handled.push(media.title)
  })
  await prisma.$pubsub.install()
  for (const title of ['a', 'b', 'c', 'd', 'e']) await prisma.media.create({ data: { url: 'file:///x', title } })
  expect(await database.notifications()).toHaveLength(5)

  await prisma.$pubsub.listen()
  await database.drained()
  expect(handled.sort()).toEqual(['a', 'b', 'c', 'd', 'e'])
})

test('of nine changes with four poisonous ones, five are done and four are kept with their error, for later', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const done: unknown[] = []
  onItem(engine, {}, ({ new: item }) => {
    if (item && item.id % 2 === 0) throw new Error(`poison ${item.id}`)
    done.push(item?.id)
  })
  await engine.install()
  await database.sql('insert into item select id, 0 from generate_series(1, 9) id')
  const drained = new Promise((resolve) => engine.on('drained', resolve))
  await engine.listen()
  await drained

  expect(done.sort()).toEqual([1, 3, 5, 7, 9])
  const kept = await database.sql(
    `select (new->>'id')::int as id, attempts, last_error like 'Error: poison %' as told, run_at > now() as later
     from pgpubsub.notification order by id`,
  )
  expect(kept).toEqual([2, 4, 6, 8].map((id) => ({ id, attempts: 1, told: true, later: true })))
})

test('two workers drain 20,000 waiting changes, each exactly once', async ({ database }) => {
  await createItems(database)
  const times = new Map<number, number>()
  const engines = [database.core(noPoll), database.core(noPoll)]
  const handledBy = [0, 0]
  engines.forEach((engine, worker) => {
    onItem(engine, {}, ({ new: item }) => {
      handledBy[worker] = (handledBy[worker] ?? 0) + 1
      if (item) times.set(item.id, (times.get(item.id) ?? 0) + 1)
    })
  })
  await engines[0]?.install()
  await database.sql('insert into item select id, 0 from generate_series(1, 20000) id')
  await Promise.all(engines.map((engine) => engine.listen()))
  await vi.waitFor(async () => expect(await database.sql('select from pgpubsub.notification limit 1')).toEqual([]), {
    timeout: 25_000,
    interval: 50,
  })
  expect(times.size).toBe(20_000)
  expect([...times.values()].filter((count) => count !== 1)).toEqual([])
  expect(Math.min(...handledBy), 'both took part').toBeGreaterThan(0)
})
