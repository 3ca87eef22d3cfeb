import { randomBytes } from 'node:crypto'
import type { ListenerStatus, PubSub } from '@pgpubsub/core'
import { gate } from './support/gate.ts'
import { createItems, noPoll, onItem } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const nothing = {
  paused: false,
  ready: 0,
  scheduled: 0,
  running: 0,
  dead: 0,
  estimated: false,
  oldestAgeMs: null,
  rate: 0,
}

async function statusOf(engine: PubSub, listener: string): Promise<ListenerStatus | undefined> {
  return (await engine.status()).find((one) => one.listener === listener)
}

/** Stores notifications as the trigger would: the rows of a query for `listener`, each with nothing in it. */
const store = (database: TestDatabase, rows: string) =>
  database.sql(`insert into pgpubsub.notification (listener, operation, context, waiting, run_at)
    select r.listener, 'insert', '{}', false, null from (${rows}) r`)

test('what is ready, waits for its retry, runs and is dead is counted, each for itself', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  let begun = 0
  onItem(engine, { batchSize: 2, concurrency: 2, attempts: 2, backoff: () => 600_000 }, async ({ new: item }) => {
    if (item && item.value === 0) throw new Error('not now')
    begun++
    await held.opened
  })
  onItem(engine, { name: 'idle' }, () => {})
  await engine.install()
  expect(await engine.status()).toEqual([
    { listener: 'idle', ...nothing },
    { listener: 'items', ...nothing },
  ])

  const failed = vi.fn()
  engine.on('failed', failed)
  const worker = await engine.listen({ listeners: ['items'] })
  await database.sql('insert into item select id, 0 from generate_series(1, 3) id')
  await vi.waitFor(() => expect(failed).toHaveBeenCalledTimes(3))
  await database.sql('insert into item select id, 1 from generate_series(11, 17) id')
  await vi.waitFor(() => expect(begun).toBe(2))
  expect(await statusOf(engine, 'items')).toMatchObject({ ready: 5, scheduled: 3, running: 2, dead: 0 })
  // another process sees the same
  const other = database.core()
  expect(await other.status()).toMatchObject([
    { listener: 'idle', ready: 10, scheduled: 0, running: 0, oldestAgeMs: expect.any(Number) },
    { listener: 'items', ready: 5, scheduled: 3, running: 2, oldestAgeMs: expect.any(Number) },
  ])

  await engine.pause('items')
  held.open()
  await worker.stop()
  expect(await statusOf(engine, 'items')).toMatchObject({ paused: true, ready: 5, scheduled: 3, running: 0 })
  await database.sql(`delete from pgpubsub.notification where listener = 'idle'`)
  expect(await statusOf(engine, 'idle')).toEqual({ listener: 'idle', ...nothing })
})

test('what is leased is running, until its lease has lapsed: then it is ready', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  let begun = 0
  onItem(engine, { lease: { seconds: 600 }, concurrency: 2 }, () => {
    begun++
    return held.opened
  })
  await engine.install()
  await database.sql('insert into item select id, 1 from generate_series(1, 5) id')
  const worker = await engine.listen()
  await vi.waitFor(() => expect(begun).toBe(2))
  expect(await statusOf(engine, 'items')).toMatchObject({ ready: 3, scheduled: 0, running: 2 })
  await database.sql('update pgpubsub.notification set run_at = now() where lease is not null')
  expect(await statusOf(engine, 'items')).toMatchObject({ ready: 5, scheduled: 0, running: 0 })
  held.open()
  await database.drained()
  await worker.stop()
})

test('a retry that is due is ready; one that fails for good is dead', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  onItem(engine, { attempts: 2 }, () => {
    throw new Error('never')
  })
  await engine.install()
  await database.sql('insert into item values (1, 1), (2, 2), (3, 3)')
  await database.sql(`update pgpubsub.notification set waiting = true, waiting_key = key, attempts = 1,
    run_at = now() + case when id % 3 = 0 then interval '1 hour' else interval '-1 second' end`)
  expect(await statusOf(engine, 'items')).toMatchObject({ ready: 2, scheduled: 1, running: 0, dead: 0 })
  await engine.listen()
  await vi.waitFor(async () =>
    expect(await statusOf(engine, 'items')).toMatchObject({ ready: 0, scheduled: 1, running: 0, dead: 2 }),
  )
})

test('the age is that of the oldest notification that is not done, also of one that waits', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
  await database.sql('insert into item values (1, 1), (2, 2)')
  await database.sql(`update pgpubsub.notification set created_at = now() - interval '1 hour',
    waiting = true, run_at = now() + interval '1 day' where id = 1`)
  const age = (await statusOf(engine, 'items'))?.oldestAgeMs
  expect(age).toBeGreaterThanOrEqual(3_600_000)
  expect(age).toBeLessThan(7_200_000)
})

test('what a listener that is not installed any more has left behind is told as well', async ({ database }) => {
  await createItems(database)
  const before = database.core()
  for (const name of ['a', 'items', 'zebra']) onItem(before, { name }, () => {})
  await before.install()
  await database.sql('insert into item values (1, 1), (2, 2)')
  await database.sql(`with gone as (delete from pgpubsub.notification where listener = 'zebra' and id % 2 = 0 returning *)
    insert into pgpubsub.dead_letter (id, listener, operation, context, attempts, created_at)
    select id, 'dead', operation, context, 1, created_at from gone`)
  const now = database.core()
  onItem(now, {}, () => {})
  await now.install()
  expect(await now.status()).toMatchObject([
    { listener: 'a', ready: 2, dead: 0 },
    { listener: 'dead', ready: 0, dead: 1 },
    { listener: 'items', ready: 2, dead: 0 },
    { listener: 'zebra', ready: 1, dead: 0 },
  ])
})

test('up to 10,000 are counted exactly; above, an estimate says that it is one, whoever else has ids between', async ({
  database,
}) => {
  const engine = database.core()
  await engine.install()
  // in turns, in bursts of 500, and one behind the other; never analyzed
  await store(
    database,
    `select case when n % 10 = 0 then 'tenth' else 'most' end as listener from generate_series(1, 110000) n`,
  )
  await store(database, `select 'burst ' || n / 500 % 2 as listener from generate_series(1, 50000) n`)
  await store(database, `select 'exact' as listener from generate_series(1, 10000)`)
  await store(database, `select 'waiting' as listener from generate_series(1, 24000)`)
  await database.sql(`update pgpubsub.notification set waiting = true,
    run_at = now() + case when id % 2 = 0 then interval '-1 hour' else interval '1 hour' end where listener = 'waiting'`)
  await database.sql(`with gone as (delete from pgpubsub.notification where listener = 'burst 0' returning *)
    insert into pgpubsub.dead_letter (id, listener, operation, context, attempts, created_at)
    select id, listener, operation, context, 1, created_at from gone`)

  const found = new Map((await engine.status()).map((one) => [one.listener, one]))
  expect(found.get('exact')).toMatchObject({ ready: 10_000, estimated: false })
  for (const [listener, member, expected] of [
    ['tenth', 'ready', 11_000],
    ['most', 'ready', 99_000],
    ['burst 1', 'ready', 25_000],
    ['burst 0', 'dead', 25_000],
    ['waiting', 'ready', 12_000],
    ['waiting', 'scheduled', 12_000],
  ] as const) {
    const one = found.get(listener)
    expect(one?.estimated, listener).toBe(true)
    expect(one?.[member], listener).toBeGreaterThan(expected * 0.7)
    expect(one?.[member], listener).toBeLessThan(expected * 1.3)
  }
  // where ids are dense, it is right but for its rounding
  expect(found.get('most')?.ready).toBeGreaterThan(98_000)
  expect(found.get('most')?.ready).toBeLessThan(100_000)
})

test('it waits for no lock, leaves no trace on a row, and takes what a dead worker had in hand for ready', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
  await database.sql('insert into item values (1, 1), (2, 2), (3, 3)')
  // one of the two that it takes is a retry that is due
  await database.sql(`update pgpubsub.notification set waiting = true, waiting_key = key, run_at = now() where id = 1`)
  const worker = await database.pool.connect()
  try {
    await worker.query('begin')
    await worker.query('lock table pgpubsub.notification, pgpubsub.worker in share row exclusive mode')
    await worker.query('select from pgpubsub.notification order by id limit 2 for update')
    expect(await statusOf(engine, 'items')).toMatchObject({ ready: 1, scheduled: 0, running: 2 })
    await worker.query('delete from pgpubsub.notification where id = 1')
    expect(await statusOf(engine, 'items')).toMatchObject({ ready: 1, scheduled: 0, running: 2 })
    await worker.query('rollback')
  } finally {
    worker.release()
  }
  expect(await statusOf(engine, 'items')).toMatchObject({ ready: 3, scheduled: 0, running: 0 })
  expect(await database.sql('select xmax = 0 as untouched from pgpubsub.notification order by id')).toEqual([
    { untouched: false },
    { untouched: false },
    { untouched: true },
  ])
})

test('it counts from where a worker says that the ready ones begin, not from the dead rows before', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
  await database.sql('insert into item values (1, 1), (2, 2), (3, 3)')
  await database.sql(`insert into pgpubsub.worker values (gen_random_uuid(), 'items', 0, 2)`)
  expect(await statusOf(engine, 'items')).toMatchObject({ ready: 1 })
  // that was before somebody emptied the table and let its ids begin anew
  await database.sql('truncate pgpubsub.notification restart identity')
  await database.sql('insert into item values (4, 4)')
  expect(await statusOf(engine, 'items')).toMatchObject({ ready: 1 })
})

test('the rate is that of the workers of all processes, while they run', { timeout: 20_000 }, async ({ database }) => {
  await createItems(database)
  const [first, second] = [database.core(noPoll), database.core(noPoll)] as const
  const held = gate()
  for (const engine of [first, second]) onItem(engine, { batchSize: 10, concurrency: 10 }, () => held.opened)
  await first.install()
  const workers = [await first.listen(), await second.listen()]
  await database.sql('insert into item select id, 1 from generate_series(1, 20) id')
  await vi.waitFor(async () => expect(await statusOf(first, 'items')).toMatchObject({ running: 20 }))
  const rows = () =>
    database.sql(`select rate, ready_above::int from pgpubsub.worker where listener = 'items' order by reported_at`)
  expect(await rows()).toEqual([])
  // left by a process that died: not counted, and swept once it is an hour old
  await database.sql(`insert into pgpubsub.worker values
    (gen_random_uuid(), 'items', 1000, 0, now() - interval '1 minute'),
    (gen_random_uuid(), 'gone', 1000, 0, now() - interval '2 hours')`)
  held.open()
  await vi.waitFor(async () => expect(await rows()).toHaveLength(3), 10_000)
  const told = (await rows()).map(({ rate }) => rate).filter((rate) => rate !== 1000)
  const { rate = 0 } = (await statusOf(second, 'items')) ?? {}
  expect(rate).toBeGreaterThan(0)
  // at least one of both has told it anew meanwhile, with a second more to divide by
  expect(rate).toBeLessThanOrEqual(told[0] + told[1])
  expect(await database.sql(`select from pgpubsub.worker where listener = 'gone'`)).toEqual([])

  for (const worker of workers) await worker.stop()
  expect(await rows()).toEqual([{ rate: 1000, ready_above: 0 }])
  expect(await statusOf(first, 'items')).toMatchObject({ rate: 0 })
})

test('a worker that cannot tell its rate says so in an event, and goes on', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const handled = vi.fn()
  onItem(engine, {}, handled)
  await engine.install()
  await database.sql('drop table pgpubsub.worker')
  const error = new Promise<unknown>((resolve) => engine.on('error', resolve))
  const worker = await engine.listen()
  await database.sql('insert into item values (1, 1)')
  expect(await error).toEqual({ error: expect.objectContaining({ code: '42P01' }) })
  await database.sql('insert into item values (2, 2)')
  await vi.waitFor(() => expect(handled).toHaveBeenCalledTimes(2))
  await worker.stop()
})

test('the extension tells the same, with the context of a request too; without an engine it says what to do', async ({
  database,
}) => {
  const prisma = database.prisma()
  prisma.media.onPostInsert('scan-media', () => {})
  await expect(prisma.$pubsub.status()).rejects.toMatchObject({ code: 'PGPUBSUB_NOT_INSTALLED' })
  await prisma.$pubsub.install()
  await prisma.media.create({ data: { url: 'x', title: 'a' } })
  const told = await prisma.$pubsub.withContext({ userId: 7 }, () => prisma.$pubsub.status())
  expect(told).toMatchObject([{ listener: 'scan-media', ready: 1, rate: 0 }])
})

test('a role that may write the models cannot read what workers tell', async ({ database }) => {
  await database.core().install()
  const role = `reader_${randomBytes(6).toString('hex')}`
  const client = await database.pool.connect()
  try {
    await client.query(`begin; create role ${role}; grant usage on schema pgpubsub to ${role}; set local role ${role}`)
    await expect(client.query('select from pgpubsub.worker')).rejects.toMatchObject({ code: '42501' })
  } finally {
    await client.query('rollback')
    client.release()
  }
})
