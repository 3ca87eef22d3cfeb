import { PubSub, silentLogger } from '@pgpubsub/core'
import { untilAsleep } from './support/asleep.ts'
import { gate } from './support/gate.ts'
import { createItems, holdItems, type ItemChange, noPoll, onItem, valueAfter } from './support/items.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const insertItems = (database: TestDatabase, from: number, to: number) =>
  database.sql('insert into item select n, n from generate_series($1::int, $2::int) n', [from, to])

/** One change, or with `batch` a list. */
type Given = ItemChange | readonly ItemChange[]

const valuesOf = (given: Given) => [given].flat().map(valueAfter)

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
const ascending = (values: readonly unknown[]) => [...values].sort((a, b) => Number(a) - Number(b))

test('process() handles what is ready, what its handlers write included, without a LISTEN connection', async ({
  database,
}) => {
  const prisma = database.prisma()
  const titles: unknown[] = []
  const labels: unknown[] = []
  const listening: unknown[] = []
  prisma.tag.onPostInsert('labels', async ({ new: tag }) => {
    labels.push(tag.label)
    listening.push(
      ...(await database.sql(
        `select from pg_stat_activity where application_name = 'pgpubsub listen' and datname = current_database()`,
      )),
    )
  })
  prisma.media.onPostInsert('titles', async ({ new: media }) => {
    titles.push(media.title)
    await prisma.tag.create({ data: { label: `of ${media.title}`, mediaId: media.id } })
  })
  await prisma.$pubsub.install()
  await prisma.media.createMany({ data: ['a', 'b', 'c'].map((title) => ({ url: 'x', title })) })

  expect(await prisma.$pubsub.process({ listeners: ['labels'] })).toEqual({ processed: 0, remaining: 0 })
  expect(await prisma.$pubsub.process()).toEqual({ processed: 6, remaining: 0 })
  expect([titles.sort(), labels.sort(), listening]).toEqual([['a', 'b', 'c'], ['of a', 'of b', 'of c'], []])
  expect(await database.notifications()).toEqual([])
  expect(await prisma.$pubsub.process()).toEqual({ processed: 0, remaining: 0 })
})

const ways = {
  plain: {},
  batch: { batch: { size: 7 } },
  leased: { lease: { seconds: 60 } },
  transactional: { transactional: true },
}

describe.for(Object.entries(ways))('a %s listener', ([, way]) => {
  test('has no more than max handled, and the rest remains', async ({ database }) => {
    await createItems(database)
    const engine = database.core()
    const handled: unknown[] = []
    const record = (given: Given) => void handled.push(...valuesOf(given))
    onItem(engine, { name: 'first', ...way }, record)
    onItem(engine, { name: 'second', ...way }, record)
    await engine.install()
    await insertItems(database, 1, 30)

    expect(await engine.process({ max: 1 })).toEqual({ processed: 1, remaining: 59 })
    expect(await engine.process({ max: 40 })).toEqual({ processed: 40, remaining: 19 })
    expect(handled).toHaveLength(41)
    expect(await engine.process({ max: 40 })).toEqual({ processed: 19, remaining: 0 })
    expect(ascending(handled)).toEqual(numbers(1, 30).flatMap((value) => [value, value]))
  })

  test('has changes of one row handled in their order', async ({ database }) => {
    await createItems(database)
    const engine = database.core()
    const handled: unknown[] = []
    onItem(engine, way, (given) => void handled.push(...valuesOf(given)))
    await engine.install()
    await insertItems(database, 1, 1)
    for (let value = 2; value <= 12; value++) await database.sql('update item set value = $1', [value])
    expect(await engine.process({ max: 5 })).toEqual({ processed: 5, remaining: 7 })
    expect(await engine.process({})).toEqual({ processed: 7, remaining: 0 })
    expect(handled).toEqual(numbers(1, 12))
  })
})

test('after maxMs nothing more is claimed, handlers that run have their end, and the rest goes back unharmed', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core()
  const { begun, held } = holdItems(engine, { concurrency: 2 })
  await engine.install()
  await insertItems(database, 1, 10)
  const processing = engine.process({ maxMs: 300 })
  await begun.opened
  const started = performance.now()
  // those that run are waited for, however long they take
  await vi.waitFor(() => expect(performance.now() - started).toBeGreaterThan(350))
  held.open()
  expect(await processing).toEqual({ processed: 2, remaining: 8 })
  expect(await database.notifications()).toMatchObject(numbers(3, 10).map(() => ({ attempts: 0, waiting: false })))
})

test.for(Object.entries({ plain: {}, leased: { lease: { seconds: 60 } }, transactional: { transactional: true } }))(
  'a signal that aborts gives up on the handlers of a %s listener, and what they had goes back unharmed',
  async ([, way], { database }) => {
    await createItems(database)
    const engine = database.core()
    const begun = gate()
    const aborted = vi.fn()
    onItem(engine, { ...way, concurrency: 1 }, async (change) => {
      if (change.new?.value === 1) return
      change.signal.addEventListener('abort', aborted)
      begun.open()
      await new Promise(() => {})
    })
    await engine.install()
    await insertItems(database, 1, 3)
    const controller = new AbortController()
    const processing = engine.process({ signal: controller.signal })
    await begun.opened
    controller.abort()
    expect(await processing).toEqual({ processed: 1, remaining: 2 })
    expect(aborted).toHaveBeenCalled()
    expect(await database.notifications()).toMatchObject([{ attempts: 0 }, { attempts: 0 }])
    expect(await engine.process({ signal: controller.signal })).toEqual({ processed: 0, remaining: 2 })
  },
)

test('what a handler throws is recorded and not thrown; what waits for its retry, or behind one, does not remain', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core()
  const failed = vi.fn()
  engine.on('failed', failed)
  onItem(engine, { attempts: 2, backoff: { type: 'fixed', firstMs: 60_000 } }, ({ new: item }) => {
    if (item?.id === 1) throw new Error('not this one')
  })
  await engine.install()
  await insertItems(database, 1, 3)
  await database.sql('update item set value = value + 1 where id = 1')
  expect(await engine.process()).toEqual({ processed: 3, remaining: 0 })
  expect(await database.notifications()).toMatchObject([
    { attempts: 1, waiting: true },
    { attempts: 0, waiting: false },
  ])
  await database.sql('update pgpubsub.notification set run_at = now() where waiting')
  // it fails for the last time, and frees its row
  expect(await engine.process({ max: 1 })).toEqual({ processed: 1, remaining: 1 })
  expect(failed).toHaveBeenLastCalledWith(expect.objectContaining({ attempt: 2, dead: true }))
})

test('many at once share the work: each change is handled once, those of a row in order', async ({ database }) => {
  await createItems(database)
  const engines = Array.from({ length: 4 }, () => database.core())
  const handled: { id: number; value: number }[] = []
  for (const engine of engines)
    onItem(engine, { concurrency: 3 }, async ({ new: item }) => void (item && handled.push(item)))
  await engines[0]?.install()
  await insertItems(database, 1, 100)
  for (const value of [1, 2, 3]) await database.sql('update item set value = $1', [1000 + value])
  const results = await Promise.all(engines.map((engine) => engine.process({ max: 150 })))
  for (const engine of engines) results.push(await engine.process())
  expect(results.reduce((sum, { processed }) => sum + processed, 0)).toBe(400)
  expect(results.at(-1)).toEqual({ processed: 0, remaining: 0 })
  for (const id of numbers(1, 100)) {
    expect(handled.filter((item) => item.id === id).map(({ value }) => value)).toEqual([id, 1001, 1002, 1003])
  }
})

test('a retry that it has put off is known to workers that sleep', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, { backoff: { type: 'fixed', firstMs: 200, jitter: 0 } }, () => {
    throw new Error('not here')
  })
  await engine.install()
  await insertItems(database, 1, 1)
  const worker = database.core(noPoll)
  const handled: unknown[] = []
  onItem(worker, {}, (change) => handled.push(change.attempt))
  await worker.pause('items')
  await worker.listen()
  await worker.resume('items')
  await vi.waitFor(() => expect(handled).toEqual([1]))
  // the worker is not told of these, so that process() has one, unless the worker was about to look once more
  let result: Awaited<ReturnType<typeof engine.process>>
  do {
    await untilAsleep(database)
    await database.sql(
      `insert into pgpubsub.notification (listener, operation, new, context) values ('items', 'insert', '{"id": 2, "value": 2}', '{}')`,
    )
    result = await engine.process()
  } while (result.processed === 0)
  expect(result).toEqual({ processed: 1, remaining: 0 })
  await vi.waitFor(() => expect(handled.filter((attempt) => attempt !== 1)).toEqual([2]))
})

test('every listener has a connection while its handlers run, and what else the engine is asked for waits for none', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core()
  const names = numbers(1, 14).map((number) => `listener ${number}`)
  const [all, asked] = [gate(), gate()]
  const begun = new Set<string>()
  for (const name of names) {
    onItem(engine, { name }, async () => {
      if (begun.add(name).size === names.length) all.open()
      await asked.opened
    })
  }
  await engine.install()
  await insertItems(database, 1, 1)
  const processing = engine.process()
  await Promise.race([all.opened, processing])
  const states = await engine.status()
  expect(states.map(({ running }) => running)).toEqual(names.map(() => 1))
  asked.open()
  expect(await processing).toEqual({ processed: 14, remaining: 0 })
})

test('its connections are there for the next call, and none has an open transaction', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
  const connections = () =>
    database.sql(`select pid, state from pg_stat_activity
      where application_name = 'pgpubsub' and datname = current_database() order by pid`)
  await insertItems(database, 1, 1)
  await engine.process()
  const before = await connections()
  await insertItems(database, 1001, 4000)
  // claims stop where `max` is reached, in the middle of a row of batches
  for (const max of [1, 250, 1500]) expect(await engine.process({ max })).toMatchObject({ processed: max })
  expect(await engine.process()).toEqual({ processed: 3000 - 1751, remaining: 0 })
  expect(before).toHaveLength(2)
  expect(await connections()).toEqual(expect.arrayContaining(before))
  expect(new Set((await connections()).map(({ state }) => state))).toEqual(new Set(['idle']))
})

test('a paused listener has nothing handled, and nothing that could be', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
  await engine.pause('items')
  await insertItems(database, 1, 3)
  expect(await engine.process()).toEqual({ processed: 0, remaining: 0 })
  await engine.resume('items')
  expect(await engine.process({ max: 2 })).toEqual({ processed: 2, remaining: 1 })
})

test('close() lets the handlers of a process() end, and nothing more is claimed', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  const { begun, held } = holdItems(engine, { concurrency: 1 })
  await engine.install()
  await insertItems(database, 1, 3)
  const processing = engine.process()
  await begun.opened
  const closed = engine.close()
  held.open()
  await closed
  expect(await processing).toEqual({ processed: 1, remaining: 2 })
})

test('wrong options, and a database that cannot be used, are errors that say so', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  await expect(engine.process()).rejects.toMatchObject({ code: 'PGPUBSUB_NO_LISTENERS' })
  onItem(engine, {}, () => {})
  await expect(engine.process()).rejects.toMatchObject({ code: 'PGPUBSUB_NOT_INSTALLED' })
  await expect(engine.process({ listeners: ['others'] })).rejects.toMatchObject({ code: 'PGPUBSUB_UNKNOWN_LISTENER' })
  const wrong = [{ max: 0 }, { max: 1.5 }, { maxMs: -1 }, { maxMs: 2 ** 31 }, { signal: {} }, { limit: 3 }]
  for (const options of wrong) {
    await expect(engine.process(options as never)).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  }
  const nowhere = new PubSub({ connectionString: 'postgresql://localhost:1/none', logger: silentLogger })
  onItem(nowhere, {}, () => {})
  await expect(nowhere.process()).rejects.toThrow('ECONNREFUSED')
  await nowhere.close()
  await engine.install()
  await database.sql('alter table pgpubsub.notification rename column context to gone')
  await expect(engine.process()).rejects.toThrow('context')
})
