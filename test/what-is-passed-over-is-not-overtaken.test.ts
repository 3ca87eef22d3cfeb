import { createItems, type ItemChange, noPoll, onItem } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const rows = 20
const changesOfEach = 20

/** Holds the oldest notification of each row, as a worker does that handles it. @returns what lets them go */
async function holdOldest(database: TestDatabase): Promise<() => Promise<unknown>> {
  const worker = await database.pool.connect()
  database.closeLater(async () => worker.release(true))
  await worker.query('begin')
  await worker.query(
    'select from pgpubsub.notification where id in (select min(id) from pgpubsub.notification group by key) for update',
  )
  return () => worker.query('commit')
}

/** A worker of small batches, and rows whose oldest changes are held. @returns what it has handled of each row, in order */
async function listenBehindHeldRows(database: TestDatabase) {
  await createItems(database)
  const engine = database.core(noPoll)
  const handled = new Map<number, number[]>()
  onItem(engine, { batchSize: 10 }, ({ new: item }: ItemChange) => {
    const { id, value } = item as { id: number; value: number }
    handled.set(id, [...(handled.get(id) ?? []), value])
  })
  await database.sql('insert into item select id, 0 from generate_series(1, $1::int) id', [rows])
  await engine.install()
  for (let value = 1; value <= changesOfEach; value++) await database.sql('update item set value = $1', [value])
  const letGo = await holdOldest(database)
  await engine.listen()
  return { handled, letGo }
}

test('claims that pass over what others hold do not take what comes after it, and take it all once it is free', async ({
  database,
}) => {
  const { handled, letGo } = await listenBehindHeldRows(database)
  const waves = 30
  for (let wave = 1; wave <= waves; wave++) {
    const free = 100 * wave
    await database.sql('insert into item select id, 0 from generate_series($1::int, $1::int + 24) id', [free])
    await database.sql('update item set value = value + 1 where id <= $1', [rows])
    await vi.waitFor(() => expect(handled.has(free + 24)).toBe(true), { interval: 2 })
  }
  const ofHeld = () => [...handled].filter(([id]) => id <= rows)
  expect(ofHeld()).toEqual([])

  await letGo()
  await database.drained()
  const inOrder = Array.from({ length: changesOfEach + waves }, (_, index) => index + 1)
  expect(ofHeld().toSorted(([a], [b]) => a - b)).toEqual(
    Array.from({ length: rows }, (_, index) => [index + 1, inOrder]),
  )
})

test('nor what takes its id among them, and is committed later', async ({ database }) => {
  const { handled, letGo } = await listenBehindHeldRows(database)
  const late: (() => Promise<void>)[] = []
  const waves = 25
  for (let wave = 1; wave <= waves; wave++) {
    const free = 1_000 * wave
    await database.sql('insert into item select id, 0 from generate_series($1::int, $1::int + 99) id', [free])
    late.push(await writeLate(database, free + 999))
    await database.sql('insert into item select id, 0 from generate_series($1::int + 100, $1::int + 299) id', [free])
    // while the worker is among those
    await vi.waitFor(() => expect(handled.has(free + 150)).toBe(true), { interval: 1 })
    if (late.length > wave % 3) await late.shift()?.()
    await vi.waitFor(() => expect(handled.has(free + 299)).toBe(true), { interval: 2 })
  }
  await Promise.all(late.map((commit) => commit()))
  await letGo()
  await database.drained()
  for (let wave = 1; wave <= waves; wave++) expect(handled.get(1_000 * wave + 999)).toEqual([0, 1])
})

/** Inserts an item. @returns what commits that, and changes the item at once */
async function writeLate(database: TestDatabase, id: number): Promise<() => Promise<void>> {
  const writer = await database.pool.connect()
  await writer.query('begin')
  await writer.query('insert into item values ($1, 0)', [id])
  return async () => {
    await writer.query('commit')
    await writer.query('update item set value = 1 where id = $1', [id])
    writer.release()
  }
}
