import { PubSub, silentLogger } from '@pgpubsub/core'
import { drain } from '@pgpubsub/core/testing'
import { untilAsleep } from './support/asleep.ts'
import { countingPool, passing } from './support/counting-pool.ts'
import { createItems, type ItemChange, noPoll, onItem } from './support/items.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

/** A worker of its own process, as it were, that takes what has the tenant, and notes whose it was. */
async function workerOf(
  database: TestDatabase,
  tenant: string | null,
  options: object,
  onChange = (_: ItemChange) => {},
) {
  const engine = database.core(noPoll)
  const handled: string[] = []
  onItem(engine, options, (change) => {
    handled.push(`${change.context.tenant} ${change.new?.id} ${change.new?.value}`)
    onChange(change)
  })
  await engine.install()
  const listen = () => engine.listen(tenant === null ? {} : { context: { tenant } })
  return { engine, handled, listen }
}

let value = 0
const write = (database: TestDatabase, tenant: string, id: number) =>
  database.sql(`begin; set local pgpubsub.notification_context = '{"tenant": "${tenant}", "more": {"x": 1}}';
    insert into item values (${id}, ${++value}) on conflict (id) do update set value = excluded.value; commit`)

const kinds = { 'by row': {}, 'in any order': { order: 'none' }, 'with a lease': { lease: { seconds: 5 } } } as const

describe.for(Object.entries(kinds))('%s', ([, options]) => {
  test('it handles what has the context, after downtime and live, and leaves the rest to others', async ({
    database,
  }) => {
    await createItems(database)
    const a = await workerOf(database, 'a', options)
    const b = await workerOf(database, 'b', options)
    for (let id = 1; id <= 30; id++) await write(database, 'abc'.charAt(id % 3), id)
    await a.listen()
    await vi.waitFor(() => expect(a.handled).toHaveLength(10))
    await untilAsleep(database)
    await write(database, 'a', 31)
    await write(database, 'b', 32)
    await vi.waitFor(() => expect(a.handled).toHaveLength(11))
    await b.listen()
    await vi.waitFor(() => expect(b.handled).toHaveLength(11))
    await write(database, 'b', 33)
    await vi.waitFor(() => expect(b.handled).toHaveLength(12))
    expect(new Set(a.handled.map((text) => text[0]))).toEqual(new Set(['a']))
    expect(new Set(b.handled.map((text) => text[0]))).toEqual(new Set(['b']))
    // what was handled a moment ago is still to be deleted
    const left = async () => (await database.notifications()).map(({ context }) => context.tenant)
    await vi.waitFor(async () => expect(await left()).toEqual(Array(10).fill('c')))
    const all = await workerOf(database, null, options)
    await all.listen()
    await database.drained()
  })

  test('process() and drain() handle what has the context, and count only that as what remains', async ({
    database,
  }) => {
    await createItems(database)
    const { engine, handled } = await workerOf(database, null, options)
    for (let id = 1; id <= 30; id++) await write(database, 'abc'.charAt(id % 3), id)
    expect(await engine.process({ context: { tenant: 'a' }, max: 4 })).toEqual({ processed: 4, remaining: 6 })
    expect(await engine.process({ context: { tenant: 'a' } })).toEqual({ processed: 6, remaining: 0 })
    expect(new Set(handled.map((text) => text[0]))).toEqual(new Set(['a']))
    expect(await drain(engine, { context: { tenant: 'b', more: { x: 1 } } })).toMatchObject({ processed: 10 })
    expect(new Set(handled.map((text) => text[0]))).toEqual(new Set(['a', 'b']))
    expect(await engine.process({ context: { tenant: 'nobody' } })).toEqual({ processed: 0, remaining: 0 })
    expect(await engine.process({ context: {} })).toEqual({ processed: 10, remaining: 0 })
  })
})

test('what process() leaves behind a change of another context, or behind a retry, does not remain', async ({
  database,
}) => {
  await createItems(database)
  const { engine, handled } = await workerOf(database, null, { attempts: 2, backoff: () => 60_000 }, (change) => {
    if (change.context.tenant === 'c') throw new Error('no')
  })
  for (const [tenant = '', id] of ['b1', 'a1', 'a2', 'b2', 'a2', 'c3', 'a3', 'a4'])
    await write(database, tenant, Number(id))
  expect(await engine.process({ context: { tenant: 'a' } })).toEqual({ processed: 2, remaining: 0 })
  expect(handled.map((text) => text.slice(0, 3))).toEqual(['a 2', 'a 4'])
  expect(await engine.process({ context: { tenant: 'c' } })).toEqual({ processed: 1, remaining: 0 })
  expect(await engine.process({ context: { tenant: 'b' }, max: 1 })).toEqual({ processed: 1, remaining: 1 })
  expect(await engine.process({ context: { tenant: 'b' } })).toEqual({ processed: 1, remaining: 0 })
  await database.sql('update pgpubsub.notification set run_at = now() where waiting')
  expect(await engine.process({ context: { tenant: 'a' } })).toEqual({ processed: 2, remaining: 0 })
  expect(await engine.process({ context: { tenant: 'c' } })).toEqual({ processed: 1, remaining: 0 })
  expect(await drain(engine, { context: { tenant: 'a' } })).toMatchObject({ processed: 1 })
  expect(await database.notifications()).toEqual([])
})

test('changes of a row are handled in order, whichever worker each of them is for', async ({ database }) => {
  await createItems(database)
  const order: [id: number, value: number][] = []
  const note = ({ new: row }: ItemChange) => {
    if (row) order.push([row.id, row.value])
  }
  const workers = [await workerOf(database, 'a', {}, note), await workerOf(database, 'b', {}, note)]
  for (let round = 0; round < 60; round++) await write(database, round % 7 < 3 ? 'a' : 'b', 1 + (round % 4))
  for (const { listen } of workers) await listen()
  for (let round = 0; round < 60; round++) await write(database, round % 5 < 3 ? 'a' : 'b', 1 + (round % 4))
  await database.drained()
  expect(order).toHaveLength(120)
  for (const id of [1, 2, 3, 4]) {
    const values = order.filter(([of]) => of === id).map(([, written]) => written)
    expect(values, `row ${id}`).toEqual([...values].sort((x, y) => x - y))
  }
})

test('retries of others are left to them, and what waits behind one is handled when it has been', async ({
  database,
}) => {
  await createItems(database)
  const failing = database.core({ ...noPoll, defaults: { backoff: () => 1 } })
  onItem(failing, {}, () => {
    throw new Error('no')
  })
  await failing.install()
  await write(database, 'b', 1)
  const failed = new Promise((resolve) => failing.on('failed', resolve))
  const worker = await failing.listen({ context: { tenant: 'b' } })
  await failed
  await worker.stop()
  await write(database, 'a', 1)
  await write(database, 'a', 2)
  const a = await workerOf(database, 'a', {})
  await a.listen()
  await vi.waitFor(() => expect(a.handled).toHaveLength(1))
  expect(a.handled[0]).toMatch(/^a 2 /)
  const b = await workerOf(database, 'b', {})
  await b.listen()
  await vi.waitFor(() => expect(b.handled).toHaveLength(1))
  await vi.waitFor(() => expect(a.handled).toHaveLength(2))
})

test('where only others are waited for, it sleeps', async ({ database }) => {
  await createItems(database)
  const { pool, taken } = countingPool(database)
  const engine = new PubSub({ pool, listenConnectionString: database.url, logger: silentLogger, ...noPoll })
  database.closeLater(() => engine.close())
  onItem(engine, {}, () => {})
  await engine.install()
  for (let id = 1; id <= 20; id++) await write(database, 'b', id)
  await engine.listen({ context: { tenant: 'a' } })
  await untilAsleep(database)
  await passing(100)
  const before = taken()
  await passing(700)
  expect(taken() - before).toBeLessThanOrEqual(2)
})

test('no wake-up is lost between workers of different contexts and of none', { timeout: 30_000 }, async ({
  database,
}) => {
  await createItems(database)
  const tenants = ['a', 'b', 'c']
  const workers = [
    await workerOf(database, 'a', {}),
    await workerOf(database, 'b', {}),
    await workerOf(database, null, {}),
  ]
  for (const { listen } of workers) await listen()
  for (let round = 0; round < 40; round++) {
    const written = Array.from({ length: 1 + (round % 5) }, (_, index) =>
      write(database, tenants[(round * 7 + index) % 3] as string, 1 + ((round + index) % 3)),
    )
    await Promise.all(written)
    // nothing is polled for
    await database.drained()
  }
  for (const [index, tenant] of ['a', 'b'].entries()) {
    expect(new Set(workers[index]?.handled.map((text) => text[0]))).toEqual(new Set([tenant]))
  }
})

test('a context that is none, or for broadcasts, is refused', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, { name: 'broadcast', delivery: 'broadcast' }, () => {})
  await expect(engine.listen({ context: [] as never })).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_CONTEXT' })
  await expect(engine.listen({ context: { a: 1 } })).rejects.toMatchObject({
    code: 'PGPUBSUB_INVALID_OPTION',
    message: expect.stringMatching(/"broadcast" has delivery: 'broadcast'/),
  })
  await engine.install()
  await expect(engine.process({ context: [] as never })).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_CONTEXT' })
  // nothing of it is stored, so that there is nothing to choose from
  expect(await engine.process({ context: { a: 1 } })).toEqual({ processed: 0, remaining: 0 })
})
