import { FailedChanges, RetryAt } from '@pgpubsub/core'
import { createItems, type ItemChange, noPoll, onItem } from './support/items.ts'
import { expect, test, vi } from './support/test.ts'

const ids = (changes: readonly ItemChange[]) => changes.map((change) => change.new?.id)

const insertItems = (from: number, to: number) =>
  `insert into item select id, 1 from generate_series(${from}, ${to}) id`

test('a list has as many changes as its size, in order, and the rest comes in the next', async ({ database }) => {
  await createItems(database)
  const lists: (number | undefined)[][] = []
  const engine = database.core(noPoll)
  engine.onChange({ table: 'item', name: 'items', batch: { size: 4 } }, (changes) => {
    lists.push(ids(changes as unknown as ItemChange[]))
  })
  await engine.install()
  await database.sql(insertItems(1, 10))
  await engine.listen()
  await database.drained()

  expect(lists).toEqual([
    [1, 2, 3, 4],
    [5, 6, 7, 8],
    [9, 10],
  ])
})

test('a list waits for its size, but no longer than the oldest may wait', async ({ database }) => {
  await createItems(database)
  const lists: { ids: (number | undefined)[]; age: number }[] = []
  const engine = database.core(noPoll)
  engine.onChange({ table: 'item', name: 'items', batch: { size: 5, maxWaitMs: 60_000 } }, (changes) => {
    const oldest = changes[0]?.createdAt.getTime() ?? 0
    lists.push({ ids: ids(changes as unknown as ItemChange[]), age: Date.now() - oldest })
  })
  await engine.install()
  await engine.listen()
  for (let id = 1; id <= 7; id++) await database.sql(insertItems(id, id))
  await vi.waitFor(() => expect(lists.map((list) => list.ids)).toEqual([[1, 2, 3, 4, 5]]), { timeout: 10_000 })
  expect(lists[0]?.age).toBeLessThan(60_000)
  // two are left, too few
  await vi.waitFor(async () => expect(await database.notifications()).toHaveLength(2))

  const patient = database.core(noPoll)
  patient.onChange({ table: 'item', name: 'items', batch: { size: 5, maxWaitMs: 300 } }, (changes) => {
    const oldest = changes[0]?.createdAt.getTime() ?? 0
    lists.push({ ids: ids(changes as unknown as ItemChange[]), age: Date.now() - oldest })
  })
  await engine.close()
  await patient.listen()
  await database.drained()
  expect(lists.at(-1)?.ids).toEqual([6, 7])
  expect(lists.at(-1)?.age).toBeGreaterThanOrEqual(300)
})

test('when the handler throws, all of the list have failed, and come again together', async ({ database }) => {
  await createItems(database)
  const lists: unknown[] = []
  const engine = database.core(noPoll)
  engine.onChange({ table: 'item', name: 'items', batch: { size: 10 }, backoff: () => 30 }, (changes) => {
    lists.push(changes.map(({ id, attempt }) => `${id}: ${attempt}`))
    if (lists.length === 1) throw new Error('not yet')
  })
  await engine.install()
  await database.sql(insertItems(1, 3))
  await engine.listen()
  await database.drained()

  expect(lists).toEqual([
    ['1: 1', '2: 1', '3: 1'],
    ['1: 2', '2: 2', '3: 2'],
  ])
})

test('a handler may say which have failed, each in its own way, and the others are done', async ({ database }) => {
  await createItems(database)
  const lists: unknown[] = []
  const failed: unknown[] = []
  const engine = database.core(noPoll)
  engine.on('failed', ({ id, error }) => failed.push([Number(id), (error as Error).message]))
  engine.onChange({ table: 'item', name: 'items', batch: { size: 10 }, backoff: () => 3_600_000 }, (changes) => {
    lists.push(changes.map(({ id }) => Number(id)))
    if (lists.length > 1) return
    const [, second, , fourth] = changes as unknown as ItemChange[]
    throw new FailedChanges([
      [second as ItemChange, new RetryAt({ afterMs: 20 }, 'soon')],
      [fourth as ItemChange, new Error('late')],
    ])
  })
  await engine.install()
  await database.sql(insertItems(1, 5))
  await engine.listen()

  await vi.waitFor(() => expect(lists).toEqual([[1, 2, 3, 4, 5], [2]]), { timeout: 10_000 })
  await vi.waitFor(async () => {
    expect((await database.notifications()).map(({ id, attempts }) => [id, attempts])).toEqual([['4', 1]])
  })
  expect(failed).toEqual([
    [2, 'soon'],
    [4, 'late'],
  ])
})

test('later changes of a row whose change has failed come again after it, though the list was done', async ({
  database,
}) => {
  await createItems(database)
  const lists: unknown[] = []
  const engine = database.core(noPoll)
  engine.onChange({ table: 'item', name: 'items', batch: { size: 10 }, backoff: () => 30 }, (changes) => {
    lists.push(changes.map((change) => `${change.new?.id}:${change.new?.value}`))
    if (lists.length === 1) throw new FailedChanges([[changes[0] as ItemChange, new Error('the first')]])
  })
  await engine.install()
  await database.sql(insertItems(1, 2))
  await database.sql('update item set value = 2')
  await database.sql('update item set value = 3')
  await engine.listen()
  await database.drained()

  expect(lists[0]).toEqual(['1:1', '2:1', '1:2', '2:2', '1:3', '2:3'])
  expect(lists.slice(1).flat()).toEqual(['1:1', '1:2', '1:3'])
})

test('in a transaction, a list of which some have failed is undone, and the others come again', async ({
  database,
}) => {
  await createItems(database)
  await database.sql('create table counted (id int primary key)')
  const engine = database.core(noPoll)
  let calls = 0
  engine.onChange(
    { table: 'item', name: 'items', batch: { size: 10 }, transactional: true, attempts: 1 },
    async (changes) => {
      calls++
      for (const { new: row, tx } of changes) await tx.query('insert into counted values ($1)', [row?.id])
      const bad = changes.filter(({ new: row }) => row?.id === 2)
      if (bad.length > 0) throw new FailedChanges(bad.map((change) => [change, new Error('bad')]))
    },
  )
  await engine.install()
  await database.sql(insertItems(1, 3))
  await engine.listen()
  await database.drained()

  expect(await database.sql('select id from counted order by id')).toEqual([{ id: 1 }, { id: 3 }])
  expect(await engine.deadLetters.list()).toMatchObject([{ new: { id: 2 } }])
  expect(calls).toBe(2)
})

test('options that contradict a batch are refused', ({ database }) => {
  const engine = database.core()
  const refused = (options: object, message: string) =>
    expect(() => onItem(engine, options, () => {})).toThrow(
      expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION', message: expect.stringContaining(message) }),
    )
  refused({ batch: {} }, 'size of batch of listener "items" must be a whole number above 0')
  refused({ batch: { size: 0 } }, 'size of batch')
  refused({ batch: { size: 5, maxWaitMs: -1 } }, 'maxWaitMs of batch')
  refused({ batch: { size: 5, maxWait: 10 } }, 'unknown option "maxWait"')
  refused({ batch: { size: 5 }, batchSize: 10 }, 'has batch and batchSize')
  refused({ batch: { size: 5 }, concurrency: 2 }, 'has batch and concurrency')
  refused({ transactional: true, lease: { seconds: 5 } }, 'transactional and has a lease')
  refused({ transactional: true, concurrency: 2 }, 'concurrency of listener "items" can only be 1')
  refused({ transactional: 'yes' }, 'transactional of listener "items" must be true or false')
  refused({ lease: { seconds: 0 } }, 'seconds in lease')
  refused({ lease: { seconds: 5 }, batchSize: 10 }, 'has a lease and batchSize')
  refused({ lease: 30 }, 'lease of listener "items" takes its options as an object')
  expect(() => new FailedChanges([])).toThrow(expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION' }))
})
