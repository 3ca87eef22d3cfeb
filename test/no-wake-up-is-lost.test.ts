import { PubSub, type PubSubOptions, silentLogger, type TableListenerOptions } from '@pgpubsub/core'
import { asleep, untilAsleep, untilFastAsleep } from './support/asleep.ts'
import { countingPool, passing } from './support/counting-pool.ts'
import { gate } from './support/gate.ts'
import { createItems, holdItems, type ItemChange, noPoll, onItem } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

/** Engines that stand for processes, each with the same listener. The first has installed it. */
async function engines(
  database: TestDatabase,
  count: number,
  handler: (change: ItemChange) => unknown,
  options: Partial<TableListenerOptions> = {},
  engineOptions: Partial<PubSubOptions> = noPoll,
): Promise<PubSub[]> {
  await createItems(database)
  const all = Array.from({ length: count }, () => database.core(engineOptions))
  for (const engine of all) onItem(engine, options, handler)
  await all[0]?.install()
  return all
}

/** Hears every NOTIFY on our channel, as its own worker would. */
async function notifications(database: TestDatabase): Promise<string[]> {
  const client = await database.pool.connect()
  const heard: string[] = []
  client.on('notification', ({ payload }) => heard.push(payload ?? ''))
  await client.query('listen pgpubsub')
  database.closeLater(async () => client.release(true))
  return heard
}

test('a worker that is awake is not notified, and one that sleeps is, once for each transaction', async ({
  database,
}) => {
  let [begun, held] = [gate(), gate()]
  let holds = 0
  const [engine] = await engines(database, 1, async ({ new: item }) => {
    if (item?.id !== holds) return
    begun.open()
    await held.opened
  })
  const heard = await notifications(database)
  await engine?.listen()
  // where it was about to take its lock back when it seemed asleep, as after a NOTIFY that came late, again
  const wakeAndHold = async () => {
    await untilAsleep(database)
    heard.length = 0
    await database.sql('insert into item values ($1, 0)', [++holds])
    await begun.opened
    await untilAsleep(database, 0)
    if (heard.length > 0) return
    held.open()
    await database.drained()
    ;[begun, held] = [gate(), gate()]
    throw new Error('it was awake')
  }
  await vi.waitFor(wakeAndHold, { timeout: 20_000, interval: 5 })
  expect(heard).toEqual(['items'])

  const others = Array.from({ length: 20 }, (_, index) => holds + 1 + index)
  for (const other of others) await database.sql('insert into item values ($1, 0)', [other])
  held.open()
  await database.drained()
  expect(heard).toEqual(['items'])

  // ten rows at once
  let id = holds + 21
  const wakeOnce = async () => {
    await untilAsleep(database)
    await database.sql('insert into item select id, 0 from generate_series($1::int, $1::int + 9) id', [id])
    id += 10
    await vi.waitFor(() => expect(heard).toEqual(['items', 'items']), { timeout: 1_000, interval: 5 })
  }
  await vi.waitFor(wakeOnce, { timeout: 10_000, interval: 5 })
  await database.drained()
})

test("wake: 'always' notifies at every transaction, whether anybody sleeps or not", async ({ database }) => {
  const [engine] = await engines(database, 1, () => {}, { wake: 'always' })
  const heard = await notifications(database)
  for (let id = 1; id <= 5; id++) await database.sql('insert into item values ($1, 0)', [id])
  await vi.waitFor(() => expect(heard).toHaveLength(5))
  await engine?.listen()
  await database.drained()
  await database.sql('insert into item values (6, 0)')
  await database.drained()
  await vi.waitFor(() => expect(heard).toHaveLength(6))
})

test("wake: 'never' notifies nobody, and the slow poll finds what was written", async ({ database }) => {
  const [engine] = await engines(database, 1, () => {}, { wake: 'never' }, { pollIntervalMs: 100 })
  const heard = await notifications(database)
  await engine?.listen()
  for (let id = 1; id <= 5; id++) {
    await database.sql('insert into item values ($1, 0)', [id])
    await database.drained()
  }
  expect(heard).toEqual([])
})

test('a worker whose claim came back full wakes the ones that sleep', async ({ database }) => {
  const by = [new Set<number>(), new Set<number>()]
  const met = gate()
  await createItems(database)
  const all = by.map((mine, worker) => {
    const engine = database.core(noPoll)
    onItem(engine, { batchSize: 2, concurrency: 1, order: 'none' }, async ({ new: item }) => {
      mine.add(item?.id ?? 0)
      // the first goes on only when the second has begun
      if (worker === 1) met.open()
      await met.opened
    })
    return engine
  })
  await all[0]?.install()
  await all[1]?.listen()
  await untilFastAsleep(database)
  // written past the trigger: only the first worker's claim tells the second
  await database.sql(`insert into pgpubsub.notification (listener, operation, new, context)
    select 'items', 'insert', jsonb_build_object('id', id, 'value', 0), '{}' from generate_series(1, 40) id`)
  expect(await asleep(database)).toBe(1)
  await all[0]?.listen()
  await database.drained()
  expect([...(by[0] ?? []), ...(by[1] ?? [])]).toHaveLength(40)
})

test('an idle worker does not poll quickly while another one works, whatever holds it: a batch, a row, a retry', async ({
  database,
}) => {
  await createItems(database)
  const held = gate()
  let running = 0
  const handler = async ({ attempt, new: item }: ItemChange) => {
    if (item?.id === 2 && attempt === 1) throw new Error('the first attempt')
    running++
    await held.opened
  }
  const busy = database.core(noPoll)
  onItem(busy, { backoff: () => 1, batchSize: 1 }, handler)
  await busy.install()
  await database.sql('insert into item values (2, 0)')
  await busy.listen()
  await vi.waitFor(() => expect(running).toBe(1)) // the retry
  const { pool, taken } = countingPool(database)
  const idle = new PubSub({ pool, logger: silentLogger, ...noPoll })
  database.closeLater(() => idle.close())
  onItem(idle, {}, handler)
  await idle.listen()
  await untilAsleep(database)
  const before = taken()
  await passing(700)
  const claims = taken() - before
  held.open()
  await database.drained()
  expect(claims).toBeLessThan(40)
})

test('a worker that finds the lock of its sleep taken for a moment does not sleep without it', async ({ database }) => {
  const handled: unknown[] = []
  const [engine] = await engines(database, 1, ({ new: item }) => handled.push(item?.id))
  const writer = await database.pool.connect()
  await writer.query(`select pg_advisory_lock(pgpubsub.asleep_key('items'))`)
  await database.sql('insert into item values (1, 0)')
  const drained = new Promise((resolve) => engine?.on('drained', resolve))
  await engine?.listen()
  await drained
  await passing(30)
  await writer.query(`select pg_advisory_unlock(pgpubsub.asleep_key('items'))`)
  writer.release()
  await untilAsleep(database)
  await database.sql('insert into item values (2, 0)')
  await database.drained()
  expect(handled).toEqual([1, 2])
})

test('many writers at once do not keep a worker from falling asleep, nor wake it in vain when it is', async ({
  database,
}) => {
  const handled = new Set<number>()
  const [engine] = await engines(database, 1, ({ new: item }) => handled.add(item?.id ?? 0))
  await engine?.listen()
  let id = 0
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (let each = 0; each < 100; each++) await database.sql('insert into item values ($1, 0)', [++id])
    }),
  )
  await vi.waitFor(() => expect(handled.size).toBe(800), { timeout: 5_000 })
  await untilAsleep(database)
})

test('a worker that finds work while it falls asleep is awake before it handles it: nobody notifies it meanwhile', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const { begun, held } = holdItems(engine)
  await engine.install()
  const writer = await database.pool.connect()
  await writer.query('begin; insert into item values (1, 1)')
  await engine.listen()
  // it waits for the writer, who may not have seen it fall asleep
  await untilAsleep(database)
  await writer.query('commit')
  writer.release()
  await begun.opened

  await untilAsleep(database, 0)
  held.open()
  await database.drained()
})

test('what is handed back while a worker falls asleep does not wait for the slow poll', async ({ database }) => {
  const done: number[] = []
  const [engine] = await engines(database, 1, ({ new: item }) => void done.push(item?.id ?? 0))
  await database.sql('insert into item values (1, 1)')
  await database.sql(`update pgpubsub.notification
    set waiting = true, waiting_key = key, run_at = now() + interval '1 hour', lease = gen_random_uuid()`)
  // whoever holds the lock keeps the worker at the edge of its sleep, for a moment
  const other = await database.pool.connect()
  database.closeLater(async () => other.release(true))
  const lock = `pgpubsub.asleep_key('items')`
  await other.query(`select pg_advisory_lock(${lock})`)
  // as a worker that stops in that moment, and sees nobody asleep
  const handBack = other.query(`do $$ begin
    loop
      perform pg_stat_clear_snapshot();
      exit when exists (select from pg_stat_activity where datname = current_database()
        and application_name = 'pgpubsub listen' and query like '%pg_try_advisory_lock_shared%');
      perform pg_sleep(0.001);
    end loop;
    update pgpubsub.notification set run_at = now(), lease = null;
    commit;
    perform pg_advisory_unlock(${lock});
  end $$`)
  await engine?.listen()
  await handBack
  await vi.waitFor(() => expect(done).toEqual([1]), { timeout: 10_000 })
})

test('a writer asks who sleeps only when its lock on the notifications can be seen', async ({ database }) => {
  const done: number[] = []
  const [engine] = await engines(database, 1, ({ new: item }) => void done.push(item?.id ?? 0))
  // it lets workers claim, and holds up writers in front of their insert
  const other = await database.pool.connect()
  await other.query('begin; lock table pgpubsub.notification in share mode')
  const writing = database.sql('insert into item values (1, 0)')
  await vi.waitFor(async () => {
    const waiting = `select from pg_locks where relation = 'pgpubsub.notification'::regclass and not granted`
    expect(await database.sql(waiting)).toHaveLength(1)
  })
  await engine?.listen()
  await untilFastAsleep(database)
  await other.query('commit')
  other.release()
  await writing
  await vi.waitFor(() => expect(done).toEqual([1]), { timeout: 10_000 })
})
