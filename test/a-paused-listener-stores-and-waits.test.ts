import { PubSub, silentLogger } from '@pgpubsub/core'
import { untilAsleep } from './support/asleep.ts'
import { countingPool } from './support/counting-pool.ts'
import { gate } from './support/gate.ts'
import { createItems, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

/** Two processes as far as the database can tell: each with an engine, a pool and a LISTEN connection of its own. */
async function twoWorkers(database: TestDatabase, handled: unknown[], other: unknown[] = []) {
  await createItems(database)
  const engines = [database.core(noPoll), database.core(noPoll)] as const
  for (const engine of engines) {
    onItem(engine, {}, (change) => handled.push(valueAfter(change)))
    onItem(engine, { name: 'other' }, (change) => other.push(valueAfter(change)))
    await engine.install()
    await engine.listen()
  }
  await untilAsleep(database, 4)
  return engines
}

test('pause() stops the workers of every process, triggers go on storing, other listeners go on, resume() drains', async ({
  database,
}) => {
  const handled: unknown[] = []
  const other: unknown[] = []
  const [engine, second] = await twoWorkers(database, handled, other)
  await second.pause('items')
  // its workers have looked, and are not declared asleep any more
  await untilAsleep(database, 2)
  for (let value = 1; value <= 3; value++) {
    await database.sql('insert into item values ($1, $1)', [value])
    await vi.waitFor(() => expect(other).toHaveLength(value))
  }
  expect(handled).toEqual([])
  await vi.waitFor(async () =>
    expect(await database.notifications()).toMatchObject([1, 2, 3].map(() => ({ listener: 'items', attempts: 0 }))),
  )
  await engine.resume('items')
  await database.drained()
  expect(handled.sort()).toEqual([1, 2, 3])
  await database.sql('insert into item values (4, 4)')
  await database.drained()
  expect(handled.sort()).toEqual([1, 2, 3, 4])
})

test('listen() on a paused listener waits, and starts when it is resumed, from the database alone', async ({
  database,
}) => {
  await createItems(database)
  const operator = database.core()
  onItem(operator, {}, () => {})
  await operator.install()
  await operator.pause('items')
  await operator.pause('items')
  await operator.install()
  await database.sql('insert into item values (1, 1)')

  const engine = database.core(noPoll)
  const heard: string[] = []
  onItem(engine, {}, () => heard.push('items'))
  onItem(engine, { name: 'added' }, () => heard.push('added'))
  await engine.install()
  await engine.listen()
  await database.sql('insert into item values (2, 2)')
  await vi.waitFor(() => expect(heard).toEqual(['added']))
  await vi.waitFor(async () => expect(await database.notifications()).toHaveLength(2))

  // it need not be declared by who resumes it
  await database.core().resume('items')
  await database.drained()
  expect(heard).toEqual(['added', 'items', 'items'])
})

test('a busy worker takes nothing more after the batch that it has', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  let begun = 0
  onItem(engine, { batchSize: 2, concurrency: 2 }, () => {
    begun++
    return held.opened
  })
  await engine.install()
  await database.sql('insert into item select id, 0 from generate_series(1, 10) id')
  const worker = await engine.listen()
  const batches: unknown[] = []
  engine.on('handled', ({ id }) => batches.push(id))
  await vi.waitFor(() => expect(begun).toBe(2))
  await engine.pause('items')
  held.open()
  await vi.waitFor(() => expect(batches).toHaveLength(2))
  await worker.stop()
  expect(begun).toBe(2)
  expect(await database.notifications()).toHaveLength(8)
  await engine.resume('items')
  await engine.listen()
  await database.drained()
  expect(begun).toBe(10)
})

test('a retry that is due waits while the listener is paused, however often workers look', async ({ database }) => {
  await createItems(database)
  const { pool, taken } = countingPool(database)
  const engine = new PubSub({ pool, pollIntervalMs: 10, logger: silentLogger })
  database.closeLater(() => engine.close())
  const attempts: number[] = []
  onItem(engine, { backoff: () => 1 }, async ({ attempt }) => {
    attempts.push(attempt)
    if (attempt > 1) return
    await engine.pause('items')
    throw new Error('once')
  })
  const failed = new Promise((resolve) => engine.on('failed', resolve))
  await engine.install()
  await engine.listen()
  await database.sql('insert into item values (1, 1)')
  await failed
  const before = taken()
  await vi.waitFor(() => expect(taken()).toBeGreaterThan(before + 10))
  expect(attempts).toEqual([1])
  await engine.resume('items')
  await database.drained()
  expect(attempts).toEqual([1, 2])
})

test('the extension pauses as well, and a listener that there is not is an error that says so', async ({
  database,
}) => {
  const prisma = database.prisma()
  const handled: unknown[] = []
  prisma.media.onPostInsert('scan-media', ({ new: media }) => handled.push(media.title))
  const calls = ['pause', 'resume'] as const
  for (const call of calls)
    await expect(prisma.$pubsub[call]('scan-media')).rejects.toMatchObject({ code: 'PGPUBSUB_NOT_INSTALLED' })
  await prisma.$pubsub.install()
  for (const call of calls) {
    await expect(prisma.$pubsub[call]('scan-medium')).rejects.toMatchObject({
      code: 'PGPUBSUB_UNKNOWN_LISTENER',
      message: expect.stringContaining('"scan-medium"'),
    })
  }
  prisma.media.onPostInsert('late', () => {})
  await expect(prisma.$pubsub.pause('late')).rejects.toMatchObject({
    code: 'PGPUBSUB_NOT_INSTALLED',
    message: expect.stringContaining('"late"'),
  })
  await prisma.$pubsub.pause('scan-media')
  await prisma.$pubsub.listen({ listeners: ['scan-media'] })
  await prisma.media.create({ data: { url: 'x', title: 'a' } })
  expect(await database.sql('select name, paused from pgpubsub.listener')).toEqual([
    { name: 'scan-media', paused: true },
  ])
  await prisma.$pubsub.resume('scan-media')
  await database.drained()
  expect(handled).toEqual(['a'])
})
