import { PubSub, silentLogger, type TableListenerOptions } from '@pgpubsub/core'
import { countingPool } from './support/counting-pool.ts'
import { gate } from './support/gate.ts'
import { createItems, noPoll, onItem } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const insert = (database: TestDatabase, from: number, to: number) =>
  database.sql('insert into item select id, 1 from generate_series($1::int, $2::int) id', [from, to])

/** What has been told of the listener, in order. */
function told(engine: PubSub): string[] {
  const events: string[] = []
  for (const event of ['highWater', 'capacity'] as const) {
    engine.on(event, ({ listener, highWaterMark }) => events.push(`${event} ${listener} ${highWaterMark}`))
  }
  return events
}

/** An engine that has looked at the database as often as it has taken a connection: no worker runs in it. */
function lookingEngine(database: TestDatabase, options: Partial<TableListenerOptions>) {
  const { pool, taken } = countingPool(database)
  const engine = new PubSub({ pool, logger: silentLogger })
  database.closeLater(() => engine.close())
  onItem(engine, options, () => {})
  return { engine, taken }
}

/** Fails where the wait ends, though it has looked twice since it was called. */
async function expectToWait(waiting: Promise<unknown>, taken: () => number): Promise<void> {
  let ended = false
  const end = () => {
    ended = true
  }
  waiting.then(end, end)
  const before = taken()
  await vi.waitFor(() => expect(taken()).toBeGreaterThanOrEqual(before + 2), { timeout: 10_000 })
  expect(ended).toBe(false)
}

test('it returns at once below the mark, waits at it, and goes on once at most half is left', async ({ database }) => {
  await createItems(database)
  const { engine, taken } = lookingEngine(database, { highWaterMark: 10 })
  await engine.install()
  const events = told(engine)
  await engine.waitForCapacity('items')
  await insert(database, 1, 9)
  await engine.waitForCapacity('items')
  expect(events).toEqual([])

  await insert(database, 10, 10)
  // what was found out before may hold for a few more
  const waiting: Promise<void>[] = []
  await vi.waitFor(() => {
    waiting.push(engine.waitForCapacity('items'))
    expect(events).toEqual(['highWater items 10'])
  })
  const last = engine.waitForCapacity('items')
  await expectToWait(last, taken)
  await database.sql('delete from pgpubsub.notification where id <= 4')
  await expectToWait(last, taken)
  // one that waits for its retry counts as well
  await database.sql(`update pgpubsub.notification set waiting = true, run_at = now() + interval '1 day' where id = 5`)
  await expectToWait(last, taken)
  await database.sql('delete from pgpubsub.notification where id = 5')
  await Promise.all([...waiting, last])
  expect(events).toEqual(['highWater items 10', 'capacity items 10'])
  await insert(database, 11, 14)
  await engine.waitForCapacity('items')
})

test('a producer that asks before each write never stores more than the mark, and everything is handled', async ({
  database,
}) => {
  await createItems(database)
  const worker = database.core()
  const held = gate()
  let handled = 0
  onItem(worker, { concurrency: 5, batchSize: 5 }, async () => {
    await held.opened
    handled++
  })
  await worker.install()
  await worker.listen()
  // it does not declare the listener: it says the mark itself
  const producer = database.core()
  const events = told(producer)
  let most = 0
  const produced = (async () => {
    for (let id = 1; id <= 100; id++) {
      await producer.waitForCapacity('items', { highWaterMark: 20 })
      await insert(database, id, id)
      most = Math.max(most, (await database.notifications()).length)
    }
  })()
  await vi.waitFor(() => expect(events).toEqual(['highWater items 20']), { timeout: 10_000 })
  expect(await database.notifications()).toHaveLength(20)
  held.open()
  await produced
  await database.drained()
  expect(handled).toBe(100)
  expect(most).toBe(20)
  expect(events.slice(0, 2)).toEqual(['highWater items 20', 'capacity items 20'])
})

test('many calls at a time cost one look', async ({ database }) => {
  await createItems(database)
  const { engine, taken } = lookingEngine(database, { highWaterMark: 2000 })
  await engine.install()
  const before = taken()
  await Promise.all(Array.from({ length: 1000 }, () => engine.waitForCapacity('items')))
  expect(taken()).toBe(before + 1)
})

test('a worker notices as well, also of a listener whose producer never asks', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  onItem(engine, { highWaterMark: 3 }, () => held.opened)
  await engine.install()
  const events = told(engine)
  await engine.listen()
  await insert(database, 1, 3)
  await vi.waitFor(() => expect(events).toEqual(['highWater items 3']), { timeout: 10_000 })
  held.open()
  await vi.waitFor(() => expect(events).toEqual(['highWater items 3', 'capacity items 3']), { timeout: 10_000 })
})

test('the wait ends with the signal, with its time, and with close()', async ({ database }) => {
  await createItems(database)
  const { engine, taken } = lookingEngine(database, { highWaterMark: 1 })
  await engine.install()
  await insert(database, 1, 1)

  const controller = new AbortController()
  const aborted = engine.waitForCapacity('items', { signal: controller.signal })
  await expectToWait(aborted, taken)
  controller.abort(new Error('the request is gone'))
  await expect(aborted).rejects.toThrow('the request is gone')
  await expect(engine.waitForCapacity('items', { signal: controller.signal })).rejects.toThrow('the request is gone')

  await expect(engine.waitForCapacity('items', { timeoutMs: 20 })).rejects.toMatchObject({
    code: 'PGPUBSUB_TIMEOUT',
    message: expect.stringContaining('"items" stayed full for 20 ms'),
  })

  const waiting = engine.waitForCapacity('items')
  const closed = expect(waiting).rejects.toMatchObject({ code: 'PGPUBSUB_CLOSED' })
  await expectToWait(waiting, taken)
  await engine.close()
  await closed
})

test('who cannot be told is told so: no mark, no such listener, an option that makes no sense', async ({
  database,
}) => {
  await createItems(database)
  const prisma = database.prisma()
  const core = database.core()
  prisma.media.onPostInsert({ name: 'marked', highWaterMark: 5 }, () => {})
  prisma.media.onPostInsert('unmarked', () => {})
  const { $pubsub } = prisma
  await expect($pubsub.waitForCapacity('marked')).rejects.toMatchObject({ code: 'PGPUBSUB_NOT_INSTALLED' })
  await core.install()
  await expect($pubsub.waitForCapacity('marked')).rejects.toMatchObject({
    code: 'PGPUBSUB_NOT_INSTALLED',
    message: expect.stringContaining('"marked" is declared, and not installed'),
  })
  await $pubsub.install()
  await $pubsub.waitForCapacity('marked')
  await $pubsub.withContext({ userId: 7 }, () => $pubsub.waitForCapacity('unmarked', { highWaterMark: 5 }))
  await core.waitForCapacity('marked', { highWaterMark: 5 })
  await expect($pubsub.waitForCapacity('unmarked')).rejects.toMatchObject({
    code: 'PGPUBSUB_INVALID_OPTION',
    message: expect.stringContaining('"unmarked" has no highWaterMark'),
  })
  await expect(core.waitForCapacity('marked')).rejects.toMatchObject({ code: 'PGPUBSUB_UNKNOWN_LISTENER' })
  await expect(core.waitForCapacity('mark', { highWaterMark: 5 })).rejects.toMatchObject({
    code: 'PGPUBSUB_UNKNOWN_LISTENER',
    message: expect.stringContaining('"mark"'),
  })
  for (const wrong of [{ timeoutMs: 0 }, { timeoutMs: 2 ** 31 }, { highWaterMark: 0.5 }, { timeout: 1 }]) {
    await expect($pubsub.waitForCapacity('marked', wrong as never)).rejects.toMatchObject({
      code: 'PGPUBSUB_INVALID_OPTION',
    })
  }
  expect(() => onItem(core, { highWaterMark: 0 }, () => {})).toThrow('highWaterMark of listener "items"')
})
