import { createItems, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, test } from './support/test.ts'

test('1 → 2 → 1 → 2 inside one transaction is four changes, stored, handled, and in order', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const handled: string[] = []
  onItem(engine, {}, (change) => handled.push(`${change.old?.value} → ${valueAfter(change)}`))
  await engine.install()
  const steps = `begin; insert into item values (7, 1); update item set value = 2; update item set value = 1;
    update item set value = 2; commit`
  await database.sql(steps)
  expect(await database.notifications()).toHaveLength(4)
  await engine.listen()
  await database.drained()
  expect(handled).toEqual(['undefined → 1', '1 → 2', '2 → 1', '1 → 2'])
})

test('the same while a worker sleeps: equal wake-ups fold into one, and no change is stranded', async ({
  database,
}) => {
  const prisma = database.prisma(noPoll)
  const handled: string[] = []
  prisma.media.onPostUpdate('titles', ({ old, new: media }) => handled.push(`${old.title} → ${media.title}`))
  await prisma.$pubsub.install()
  const { id } = await prisma.media.create({ data: { url: 'file:///x', title: '1' } })
  await prisma.$pubsub.listen()
  await prisma.$transaction(async (tx) => {
    for (const title of ['2', '1', '2']) await tx.media.update({ where: { id }, data: { title } })
  })
  await database.drained()
  expect(handled).toEqual(['1 → 2', '2 → 1', '1 → 2'])
})

test('rows that are equal in every column are a change each', async ({ database }) => {
  await createItems(database, 'id int, value int')
  const engine = database.core(noPoll)
  let handled = 0
  onItem(engine, {}, () => handled++)
  await engine.install()
  await engine.listen()
  await database.sql('insert into item select 1, 1 from generate_series(1, 50)')
  await database.sql('delete from item')
  await database.drained()
  expect(handled).toBe(100)
})
