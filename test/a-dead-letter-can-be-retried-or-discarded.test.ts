import { type DeadLetter, type DeadLetterSelection, DoNotRetry, PubSub, silentLogger } from '@pgpubsub/core'
import { Decimal } from '@prisma/client/runtime/client'
import pg from 'pg'
import { untilAsleep } from './support/asleep.ts'
import { countingPool, passing } from './support/counting-pool.ts'
import { createItems, type ItemChange, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

/** Its handlers fail, and leave dead letters, until they are mended. */
async function failing(database: TestDatabase, names = ['items']) {
  await createItems(database)
  const engine = database.core(noPoll)
  const handled: unknown[] = []
  const state = { broken: true }
  for (const name of names) {
    onItem(engine, { name, attempts: 1 }, (change: ItemChange) => {
      if (state.broken) throw new Error(`broken ${change.new?.id}`)
      handled.push([change.attempt, valueAfter(change)])
    })
  }
  await engine.install()
  await engine.listen()
  return { engine, handled, mend: () => (state.broken = false) }
}

const deadOf = (database: TestDatabase) => database.sql('select id, listener from pgpubsub.dead_letter order by id')
const idsOf = (letters: readonly DeadLetter[]) => letters.map(({ id }) => id)

test('list() gives the newest first, by pages, for a listener, an operation, an error or a time', async ({
  database,
}) => {
  const { engine } = await failing(database, ['a', 'b'])
  await database.sql('insert into item select id, 0 from generate_series(1, 5) id')
  await database.drained()
  const all = await engine.deadLetters.list()
  expect(all).toHaveLength(10)
  expect(idsOf(all)).toEqual([...idsOf(all)].sort((a, b) => Number(b - a)))
  const ofA = await engine.deadLetters.list({ listener: 'a' })
  expect(ofA.map(({ listener, new: item }) => [listener, (item as { id: number }).id])).toEqual([
    ['a', 5],
    ['a', 4],
    ['a', 3],
    ['a', 2],
    ['a', 1],
  ])
  const pages: bigint[][] = []
  for (let before: bigint | undefined; ; ) {
    const page = await engine.deadLetters.list({ listener: 'a', limit: 2, ...(before && { before }) })
    pages.push(idsOf(page))
    before = page.at(-1)?.id
    if (page.length < 2) break
  }
  expect(pages.map(({ length }) => length)).toEqual([2, 2, 1])
  expect(pages.flat()).toEqual(idsOf(ofA))

  expect(await engine.deadLetters.list({ operation: 'delete' })).toEqual([])
  expect(await engine.deadLetters.list({ operation: 'insert', listener: 'b' })).toHaveLength(5)
  expect(await engine.deadLetters.list({ error: 'broken 4' })).toHaveLength(2)
  const [{ middle }] = await database.sql(
    `select (percentile_disc(0.5) within group (order by date_trunc('milliseconds', died_at))) as middle from pgpubsub.dead_letter`,
  )
  const before = await engine.deadLetters.list({ diedBefore: middle })
  const after = await engine.deadLetters.list({ diedAfter: middle })
  expect(before.length + after.length).toBe(10)
  expect(before.every(({ diedAt }) => diedAt < middle) && after.every(({ diedAt }) => diedAt >= middle)).toBe(true)
})

test('a dead letter has what its handler would see, and its error', async ({ database }) => {
  const prisma = database.prisma(noPoll)
  prisma.everyType.onPostInsert({ name: 'types', attempts: 2, backoff: () => 1 }, () => {
    throw new Error('broken', { cause: new Error('why') })
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  const began = Date.now()
  const row = await prisma.$pubsub.withContext({ userId: 7 }, () =>
    prisma.everyType.create({
      data: { bigint: 2n ** 60n, decimal: new Decimal('12345678901234567890.5'), datetime: new Date(0) },
    }),
  )
  await database.drained()
  const [letter] = await prisma.$pubsub.deadLetters.list()
  expect(letter).toEqual({
    id: expect.any(BigInt),
    listener: 'types',
    operation: 'insert',
    old: null,
    new: await prisma.everyType.findFirstOrThrow({ where: { id: row.id } }),
    context: { userId: 7 },
    attempts: 2,
    error: expect.stringMatching(/^Error: broken\n +at /),
    createdAt: expect.any(Date),
    diedAt: expect.any(Date),
  })
  const { createdAt, diedAt } = letter as DeadLetter
  expect(diedAt.getTime()).toBeGreaterThanOrEqual(createdAt.getTime())
  expect(Math.abs(createdAt.getTime() - began)).toBeLessThan(60_000)
  // nobody here knows how its handler would see it
  const [raw] = await database.core().deadLetters.list()
  expect((raw as { new: { decimal: unknown } }).new.decimal).toBeTypeOf('number')
})

test('one whose row cannot be decoded is listed as JSON', async ({ database }) => {
  const prisma = database.prisma()
  prisma.everyType.onPostInsert({ name: 'types' }, () => {})
  await prisma.$pubsub.install()
  await database.sql(`insert into pgpubsub.dead_letter (id, listener, operation, new, context, attempts, created_at)
    values (1, 'types', 'insert', '{"bigint": "no number"}', '{}', 20, now())`)
  expect(await prisma.$pubsub.deadLetters.list()).toMatchObject([{ new: { bigint: 'no number' }, error: null }])
})

test('retry() gives one all its attempts again, at its old id, and wakes a sleeping worker', async ({ database }) => {
  const { engine, handled, mend } = await failing(database)
  await database.sql('insert into item values (1, 10), (2, 20)')
  await database.drained()
  const [second, first] = await engine.deadLetters.list()
  mend()
  const handledIds: unknown[] = []
  engine.on('handled', ({ id }) => handledIds.push(id))
  await untilAsleep(database)
  expect(await engine.deadLetters.retry(first?.id as bigint)).toBe(1)
  await vi.waitFor(() => expect(handled).toEqual([[1, 10]]))
  await database.drained()
  expect(handledIds).toEqual([first?.id])
  expect(idsOf(await engine.deadLetters.list())).toEqual([second?.id])
  expect(await engine.deadLetters.retry([first?.id as bigint])).toBe(0)
})

test('one that fails again is a dead letter again, after all its attempts', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const attempts: number[] = []
  onItem(engine, { attempts: 3, backoff: () => 1 }, ({ attempt }) => {
    attempts.push(attempt)
    throw new Error('always')
  })
  await engine.install()
  await engine.listen()
  await database.sql('insert into item values (1, 1)')
  await database.drained()
  expect(await engine.deadLetters.retry('all')).toBe(1)
  await vi.waitFor(() => expect(attempts).toEqual([1, 2, 3, 1, 2, 3]))
  await database.drained()
  expect(await engine.deadLetters.list()).toMatchObject([{ attempts: 3 }])
})

test('retried changes of one row come back in their order, before later ones of the row that still wait', async ({
  database,
}) => {
  const { engine, handled, mend } = await failing(database)
  await database.sql('insert into item values (1, 1), (2, 0)')
  for (const value of [2, 3, 4]) await database.sql('update item set value = $1 where id = 1', [value])
  await database.drained()
  mend()
  await engine.pause('items')
  await database.sql('update item set value = 5 where id = 1')
  expect(await engine.deadLetters.retry({ listener: 'items', error: 'broken 1' })).toBe(4)
  await engine.resume('items')
  await database.drained()
  expect(handled).toEqual([1, 2, 3, 4, 5].map((value) => [1, value]))
})

test('behind one that fails again, a later retried change of its row waits, and nobody asks for it meanwhile', async ({
  database,
}) => {
  await createItems(database)
  const { pool, taken } = countingPool(database)
  const engine = new PubSub({ ...noPoll, pool, logger: silentLogger })
  database.closeLater(() => engine.close())
  const handled: unknown[] = []
  onItem(engine, { backoff: () => 3_600_000 }, (change) => {
    handled.push(valueAfter(change))
    throw change.attempt === 1 && handled.length < 3 ? new DoNotRetry('dead') : new Error('again')
  })
  await engine.install()
  await engine.listen()
  await database.sql('insert into item values (1, 1)')
  await database.sql('update item set value = 2')
  await vi.waitFor(async () => expect(await deadOf(database)).toHaveLength(2))
  await engine.deadLetters.retry('all')
  await vi.waitFor(async () => expect(await database.notifications()).toMatchObject([{ attempts: 1 }, { attempts: 0 }]))
  await untilAsleep(database)
  const claims = taken()
  await passing(1_500)
  expect(taken() - claims).toBeLessThan(3)
  // woken for something else, it still finds nothing to do with the second
  const drained = new Promise((resolve) => engine.on('drained', resolve))
  await database.sql(`insert into item values (2, 3)`)
  await drained
  expect(handled).toEqual([1, 2, 1, 3])
  expect((await database.notifications()).map(({ attempts }) => attempts)).toEqual([1, 0, 1])
})

test('discard() deletes those that fit and no others', async ({ database }) => {
  const { engine, handled } = await failing(database, ['a', 'b'])
  await database.sql('insert into item select id, 0 from generate_series(1, 3) id')
  await database.drained()
  expect(await engine.deadLetters.discard({ listener: 'a', error: 'broken 2' })).toBe(1)
  expect(await engine.deadLetters.discard({ listener: 'a' })).toBe(2)
  expect(await deadOf(database)).toMatchObject([{ listener: 'b' }, { listener: 'b' }, { listener: 'b' }])
  const [newest, ...others] = idsOf(await engine.deadLetters.list())
  expect(await engine.deadLetters.discard([newest as bigint, 999_999n])).toBe(1)
  expect(idsOf(await engine.deadLetters.list())).toEqual(others)
  expect(await engine.deadLetters.discard([])).toBe(0)
  expect(await engine.deadLetters.discard('all')).toBe(2)
  expect([await deadOf(database), await database.notifications(), handled]).toEqual([[], [], []])
})

test('a transaction of pg: what rolls back has retried and discarded nothing, and wakes nobody', async ({
  database,
}) => {
  const { engine, handled, mend } = await failing(database)
  await database.sql('insert into item values (1, 10), (2, 20)')
  await database.drained()
  mend()
  const [second, first] = idsOf(await engine.deadLetters.list())
  const tx = new pg.Client(database.url)
  await tx.connect()
  for (const end of ['rollback', 'commit']) {
    await tx.query('begin')
    expect(await engine.deadLetters.retry(first as bigint, { tx })).toBe(1)
    expect(await engine.deadLetters.discard(second as bigint, { tx })).toBe(1)
    expect(await engine.deadLetters.list({ tx })).toEqual([])
    expect(await engine.deadLetters.list()).toHaveLength(2)
    await tx.query(end)
    expect(await engine.deadLetters.list()).toHaveLength(end === 'commit' ? 0 : 2)
  }
  await tx.end()
  await database.drained()
  await vi.waitFor(() => expect(handled).toEqual([[1, 10]]))
})

test.for(['carrying', 'plain'] as const)(
  'a transaction of Prisma (%s adapter): what rolls back has retried and discarded nothing',
  async (adapter, { database }) => {
    const prisma = database.prisma({ ...noPoll, adapter })
    let broken = true
    const handled: unknown[] = []
    prisma.media.onPostInsert({ name: 'scan-media', attempts: 1 }, ({ new: media, context }) => {
      if (broken) throw new Error('broken')
      handled.push([media.title, context])
    })
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    const { deadLetters } = prisma.$pubsub
    await prisma.$pubsub.withContext({ by: 'writer' }, () =>
      prisma.media.createMany({ data: ['a', 'b'].map((title) => ({ url: 'x', title })) }),
    )
    await database.drained()
    broken = false
    const [b, a] = idsOf(await deadLetters.list())
    const work = (fails: boolean) =>
      prisma.$pubsub.withContext({ by: 'operator' }, () =>
        prisma.$transaction(async (tx) => {
          expect(await deadLetters.list({ tx, listener: 'scan-media', diedAfter: new Date(0) })).toHaveLength(2)
          expect(await deadLetters.retry([a as bigint], { tx })).toBe(1)
          expect(await deadLetters.discard(b as bigint, { tx })).toBe(1)
          await tx.user.create({ data: { email: 'a@b.c' } })
          if (fails) throw new Error('rolled back')
        }),
      )
    await expect(work(true)).rejects.toThrow('rolled back')
    expect(idsOf(await deadLetters.list())).toEqual([b, a])
    await work(false)
    await database.drained()
    await vi.waitFor(() => expect(handled).toEqual([['a', { by: 'writer' }]]))
    expect([await deadLetters.list(), await prisma.user.count()]).toEqual([[], 1])
  },
)

test('a retry is handled at once at whatever moment it comes: also while the worker falls asleep', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  let handled = 0
  onItem(engine, {}, () => handled++)
  await engine.install()
  await engine.listen()
  for (let round = 1; round <= 150; round++) {
    await database.sql(
      `insert into pgpubsub.dead_letter (id, listener, operation, new, context, attempts, created_at)
       overriding system value values (-$1::int, 'items', 'insert', '{}', '{}', 20, now())`,
      [round],
    )
    await database.sql('insert into item values ($1, 0)', [round])
    // the worker is somewhere between its claim and its sleep
    for (let turn = 0; turn < round % 15; turn++) await database.sql('select')
    await engine.deadLetters.retry('all')
    await vi.waitFor(() => expect(handled).toBe(2 * round), { timeout: 5_000, interval: 1 })
  }
})

test('two that retry at once retry each once', async ({ database }) => {
  const { engine, handled, mend } = await failing(database)
  await database.sql('insert into item select id, id from generate_series(1, 50) id')
  await database.drained()
  mend()
  const counts = await Promise.all([1, 2, 3].map(() => engine.deadLetters.retry('all')))
  expect(counts.reduce((sum, count) => sum + count)).toBe(50)
  await database.drained()
  expect(handled).toHaveLength(50)
})

test('a selection that is none, or would be all by mistake, is refused, and does nothing', async ({ database }) => {
  const { engine } = await failing(database)
  await database.sql('insert into item values (1, 1)')
  await database.drained()
  const wrong: unknown[] = [
    {},
    { listener: undefined },
    { listener: '' },
    { lisener: 'items' },
    { operation: 'upsert' },
    { diedAfter: '2026-01-01' },
    { diedBefore: new Date(Number.NaN) },
    [1],
    ['1'],
    1,
    '1',
    'every',
    null,
    undefined,
  ]
  for (const selection of wrong) {
    for (const call of ['retry', 'discard'] as const) {
      const refused = engine.deadLetters[call](selection as DeadLetterSelection)
      await expect(refused, JSON.stringify(selection)).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
    }
  }
  const list = (options: object) => engine.deadLetters.list(options)
  for (const options of [{ limit: 0 }, { before: 1 }, { page: 2 }, { tx: {} }]) {
    await expect(list(options)).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  }
  expect(await engine.deadLetters.list()).toHaveLength(1)
})

test('hostile texts are texts', async ({ database }) => {
  const { engine } = await failing(database, [`it's "a"; drop table item; --`])
  await database.sql('insert into item values (1, 1)')
  await database.drained()
  const listener = `it's "a"; drop table item; --`
  expect(await engine.deadLetters.list({ listener, error: `' or true --` })).toEqual([])
  expect(await engine.deadLetters.list({ listener })).toHaveLength(1)
  expect(await engine.deadLetters.retry({ listener })).toBe(1)
  await database.drained()
  expect(await engine.deadLetters.discard({ listener })).toBe(1)
})

test('without an engine in the database it says what to do', async ({ database }) => {
  const engine: PubSub = database.core()
  const { deadLetters } = engine
  const calls = [() => deadLetters.list(), () => deadLetters.retry('all'), () => deadLetters.discard('all')]
  for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'PGPUBSUB_NOT_INSTALLED' })
})
