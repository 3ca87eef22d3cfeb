import { gate } from './support/gate.ts'
import { createItems, noPoll, onItem } from './support/items.ts'
import { expect, test, vi } from './support/test.ts'

test('listeners for different operations on one model each get theirs, and all of theirs', async ({ database }) => {
  const prisma = database.prisma(noPoll)
  const heard: string[] = []
  prisma.media.onPostInsert('on-insert', ({ new: media }) => heard.push(`insert ${media.title}`))
  prisma.media.onPostUpdate('on-update', ({ new: media }) => heard.push(`update ${media.title}`))
  prisma.media.onPostDelete('on-delete', ({ old }) => heard.push(`delete ${old.title}`))
  prisma.media.onPostSave('on-save', ({ new: media }) => heard.push(`save ${media.title}`))
  prisma.media.onPostSave('on-save-too', ({ new: media }) => heard.push(`save too ${media.title}`))
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  const { id } = await prisma.media.create({ data: { url: 'file:///x', title: 'a' } })
  await prisma.media.update({ where: { id }, data: { title: 'b' } })
  await prisma.media.delete({ where: { id } })
  await database.drained()
  expect(heard.sort()).toEqual(
    ['insert a', 'save a', 'save too a', 'update b', 'save b', 'save too b', 'delete b'].sort(),
  )
})

test('a listener that fails for ever and one that never ends delay no other, nor its attempts', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const handled: unknown[] = []
  const held = gate()
  onItem(engine, { name: 'fails', backoff: () => 5, attempts: 1_000 }, () => {
    throw new Error('always')
  })
  onItem(engine, { name: 'hangs' }, () => held.opened)
  onItem(engine, { name: 'works' }, ({ new: item, attempt }) => handled.push([item?.id, attempt]))
  await engine.install()
  await engine.listen()
  for (let id = 1; id <= 5; id++) {
    await database.sql('insert into item values ($1, 0)', [id])
    await vi.waitFor(() => expect(handled).toHaveLength(id))
  }
  expect(handled).toEqual([1, 2, 3, 4, 5].map((id) => [id, 1]))
  held.open()
})

test('beside a listener that always fails and a slow one, three others handle each change as soon as alone', async ({
  database,
}) => {
  await createItems(database)
  const prompt = ['a', 'b', 'c']
  const changes = 60
  const held = gate()
  const engine = database.core(noPoll)
  const writtenAt = new Map<number, number>()
  const lags: number[] = []
  let handled = 0
  for (const name of prompt) {
    onItem(engine, { name }, ({ new: item }) => {
      lags.push(performance.now() - (writtenAt.get(item?.id ?? 0) ?? 0))
      handled++
    })
  }
  onItem(engine, { name: 'fails', attempts: 1_000, backoff: () => 100 }, () => {
    throw new Error('always')
  })
  let slow = 0
  onItem(engine, { name: 'slow', concurrency: 1 }, async () => {
    slow++
    await held.opened
  })
  await engine.install()
  let id = 0
  const medianLag = async () => {
    lags.length = 0
    for (let change = 0; change < changes; change++) {
      const wanted = handled + prompt.length
      writtenAt.set(++id, performance.now())
      await database.sql('insert into item values ($1, 0)', [id])
      await vi.waitFor(() => expect(handled).toBe(wanted), { timeout: 10_000, interval: 2 })
    }
    return lags.sort((a, b) => a - b)[Math.floor(lags.length / 2)] as number
  }
  const worker = await engine.listen({ listeners: prompt })
  const alone = await medianLag()
  const others = await engine.listen({ listeners: ['fails', 'slow'] })
  await vi.waitFor(() => expect(slow).toBe(1), { timeout: 10_000 })
  const beside = await medianLag()
  const ratio = beside / alone
  console.log(`median lag alone ${alone.toFixed(1)} ms, beside them ${beside.toFixed(1)} ms: × ${ratio.toFixed(2)}`)

  // by construction: the slow one still has its first change, the failing one all of its, the three have none left
  expect(slow).toBe(1)
  expect(handled).toBe(prompt.length * 2 * changes)
  const left = () => database.sql('select listener, count(*)::int from pgpubsub.notification group by 1 order by 1')
  const ofTheTwo = ['fails', 'slow'].map((listener) => ({ listener, count: 2 * changes }))
  await vi.waitFor(async () => expect(await left()).toEqual(ofTheTwo), { timeout: 10_000 })
  expect(ratio).toBeLessThan(10)
  held.open()
  await Promise.all([worker.stop(), others.stop({ graceMs: 0 })])
})

test('twenty listeners whose handlers hang leave the others their connections', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  let begun = 0
  const handled: unknown[] = []
  for (let each = 0; each < 20; each++) {
    onItem(engine, { name: `hangs ${each}` }, () => {
      begun++
      return held.opened
    })
  }
  onItem(engine, { name: 'works' }, ({ new: item }) => handled.push(item?.id))
  await engine.install()
  await engine.listen()
  await engine.listen({ listeners: ['works'] })
  await database.sql('insert into item values (1, 0)')
  await vi.waitFor(() => expect([begun, handled]).toEqual([20, [1]]), { timeout: 8_000 })
  held.open()
})

test('listen({ listeners }) consumes those and leaves the notifications of the others to someone else', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const heard: string[] = []
  for (const name of ['a', 'b', 'c']) onItem(engine, { name }, () => heard.push(name))
  await engine.install()
  await database.sql('insert into item values (1, 0)')
  await engine.listen({ listeners: ['a', 'c'] })
  await vi.waitFor(async () => expect(await database.notifications()).toMatchObject([{ listener: 'b' }]))
  await database.sql('insert into item values (2, 0)')
  await vi.waitFor(async () =>
    expect(await database.notifications()).toMatchObject([{ listener: 'b' }, { listener: 'b' }]),
  )
  expect(heard.sort()).toEqual(['a', 'a', 'c', 'c'])
  await engine.listen({ listeners: ['b'] })
  await database.drained()
  await expect(engine.listen({ listeners: ['d'] })).rejects.toMatchObject({ code: 'PGPUBSUB_UNKNOWN_LISTENER' })
})

test('two engines in schemas of their own share a database, a table and even a name', async ({ database }) => {
  await createItems(database)
  const heard: string[] = []
  for (const schema of ['pgpubsub', 'Billing "1"']) {
    const engine = database.core({ ...noPoll, schema })
    onItem(engine, {}, () => heard.push(schema))
    await engine.install()
    await engine.listen()
  }
  for (const id of [1, 2]) {
    await database.sql('insert into item values ($1, 0)', [id])
    await database.drained()
    await database.drained('Billing "1"')
  }
  expect(heard.sort()).toEqual(['Billing "1"', 'Billing "1"', 'pgpubsub', 'pgpubsub'])
})
