import type { PubSub } from '@pgpubsub/core'
import { asleep } from './support/asleep.ts'
import { gate } from './support/gate.ts'
import { createItems, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

/** Workers in processes of their own, as far as the database can tell. */
async function workers(
  database: TestDatabase,
  count: number,
  declare: (engine: PubSub, worker: number) => void,
): Promise<PubSub[]> {
  const engines = Array.from({ length: count }, () => database.core(noPoll))
  engines.forEach(declare)
  await engines[0]?.install()
  return engines
}

const listenAll = (engines: readonly PubSub[]) => Promise.all(engines.map((engine) => engine.listen()))

/** What was handled, by row, and whether two changes of a row ever ran at once. */
class Record {
  readonly values = new Map<string, number[]>()
  readonly beside: string[] = []
  readonly #running = new Set<string>()

  get running(): number {
    return this.#running.size
  }

  async during(row: string, value: number, work: () => unknown): Promise<void> {
    if (this.#running.has(row)) this.beside.push(`${row}: ${value}`)
    this.#running.add(row)
    try {
      await work()
      this.values.set(row, [...(this.values.get(row) ?? []), value])
    } finally {
      this.#running.delete(row)
    }
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
const tick = () => new Promise((resolve) => setImmediate(resolve))

test('three workers with handlers that fail at random handle the changes of every row one by one, in order', async ({
  database,
}) => {
  const rows = 40
  const changes = 40
  await createItems(database)
  const record = new Record()
  const engines = await workers(database, 3, (engine) => {
    onItem(engine, { batchSize: 60, attempts: 1_000, backoff: () => Math.random() * 20 }, (change) =>
      record.during(String(change.new?.id), valueAfter(change) ?? 0, async () => {
        await tick()
        if (Math.random() < 0.1) throw new Error('at random')
      }),
    )
  })
  await database.sql('insert into item select id, 1 from generate_series(1, $1::int) id', [rows])
  await listenAll(engines)
  const write = async () => {
    for (let value = 2; value <= changes; value++) {
      await database.sql('update item set value = value + 1 where id = any ($1::int[])', [shuffled(upTo(rows))])
    }
  }
  await write()
  await database.drained()

  expect(record.beside).toEqual([])
  expect(record.values.size).toBe(rows)
  for (const values of record.values.values()) expect(values).toEqual(upTo(changes))
})

function shuffled(values: readonly number[]): number[] {
  return values
    .map((value) => ({ value, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ value }) => value)
}

test('a change that waits for its retry holds back its own row and no other, and the row goes on when it is done', async ({
  database,
}) => {
  await createItems(database)
  const repaired = gate()
  let broken = true
  const handled: string[] = []
  const engines = await workers(database, 1, (engine) =>
    onItem(engine, { backoff: () => 20 }, (change) => {
      if (change.new?.id === 1 && broken) throw new Error('not yet')
      handled.push(`${change.new?.id}:${valueAfter(change)}`)
      if (handled.length === 5) repaired.open()
    }),
  )
  await listenAll(engines)
  await database.sql('insert into item values (1, 1), (2, 1)')
  await database.sql('update item set value = 2')
  await database.sql('update item set value = 3')
  await vi.waitFor(() => expect(handled).toEqual(['2:1', '2:2', '2:3']), { timeout: 10_000 })
  await database.sql('update item set value = 4')
  await vi.waitFor(() => expect(handled).toContain('2:4'), { timeout: 10_000 })
  expect(handled.filter((each) => each.startsWith('1:'))).toEqual([])

  broken = false
  await database.drained()
  expect(handled.filter((each) => each.startsWith('1:'))).toEqual(['1:1', '1:2', '1:3', '1:4'])
})

test('a worker that went on while a row waited for its retry does not later overtake what waited with it', async ({
  database,
}) => {
  await createItems(database)
  const record = new Record()
  const begun = gate()
  const held = gate()
  const [first, second] = (await workers(database, 2, (engine, worker) =>
    onItem(engine, { attempts: 1_000, backoff: () => 50 }, (change) =>
      record.during(String(change.new?.id), valueAfter(change) ?? 0, async () => {
        if (change.new?.id !== 1 || valueAfter(change) !== 1) return
        if (worker === 0) throw new Error('only the second worker can do it')
        begun.open()
        await held.opened
      }),
    ),
  )) as [PubSub, PubSub]
  await first.listen()
  const failed = new Promise((resolve) => first.on('failed', resolve))
  await database.sql('insert into item values (1, 1)')
  await failed
  await database.sql('update item set value = 2 where id = 1')
  // the first worker goes far beyond 1:2, which waits behind 1:1
  for (const id of upTo(8)) {
    await database.sql('insert into item values ($1, 1)', [id + 1])
    await vi.waitFor(() => expect(record.values.has(String(id + 1))).toBe(true), { timeout: 10_000, interval: 5 })
  }
  // the second does 1:1 and leaves: the first must find 1:2 where it has long been
  const leaving = await second.listen()
  await begun.opened
  const left = leaving.stop()
  held.open()
  await left
  await database.sql('update item set value = 3 where id = 1')
  await database.drained()
  expect(record.values.get('1')).toEqual([1, 2, 3])
})

test('a change that becomes a dead letter frees its row', async ({ database }) => {
  await createItems(database)
  const handled: (number | undefined)[] = []
  const engines = await workers(database, 1, (engine) =>
    onItem(engine, { attempts: 2, backoff: () => 1 }, (change) => {
      if (valueAfter(change) === 1) throw new Error('poison')
      handled.push(valueAfter(change))
    }),
  )
  await database.sql('insert into item values (1, 1)')
  await database.sql('update item set value = 2')
  await database.sql('update item set value = 3')
  await listenAll(engines)
  await database.drained()
  expect(handled).toEqual([2, 3])
  expect(await database.sql('select attempts from pgpubsub.dead_letter')).toEqual([{ attempts: 2 }])
})

test('without an order, later changes of a row are handled while the first waits', async ({ database }) => {
  await createItems(database)
  const handled: (number | undefined)[] = []
  const engines = await workers(database, 1, (engine) =>
    onItem(engine, { order: 'none', backoff: () => 3_600_000 }, (change) => {
      if (valueAfter(change) === 1) throw new Error('poison')
      handled.push(valueAfter(change))
    }),
  )
  await listenAll(engines)
  await database.sql('insert into item values (1, 1)')
  await database.sql('update item set value = 2')
  await vi.waitFor(() => expect(handled).toEqual([2]), { timeout: 10_000 })
  await vi.waitFor(async () => {
    expect(await database.notifications()).toMatchObject([{ attempts: 1, new: { value: 1 } }])
  })
})

test('a key of several columns is one row: rows that share a part of it do not hold each other back', async ({
  database,
}) => {
  await createItems(database, 'region text, id int, value int, primary key (region, id)')
  const handled: string[] = []
  const engines = await workers(database, 1, (engine) =>
    onItem(engine, { backoff: () => 3_600_000 }, (change) => {
      const row = change.new as unknown as { region: string; id: number; value: number }
      if (row.region === 'north' && row.id === 1) throw new Error('poison')
      handled.push(`${row.region} ${row.id}: ${row.value}`)
    }),
  )
  await listenAll(engines)
  await database.sql(`insert into item values ('north', 1, 1), ('north', 2, 1), ('south', 1, 1)`)
  await database.sql('update item set value = 2')
  await vi.waitFor(() => expect(handled).toHaveLength(4), { timeout: 10_000 })
  expect(handled.sort()).toEqual(['north 2: 1', 'north 2: 2', 'south 1: 1', 'south 1: 2'])
  await vi.waitFor(async () => expect(await database.notifications()).toHaveLength(2))
})

test('a table without a key is one row', async ({ database }) => {
  await createItems(database, 'id int, value int')
  const record = new Record()
  const engines = await workers(database, 2, (engine) =>
    onItem(engine, { batchSize: 3 }, (change) => record.during('all', valueAfter(change) ?? 0, tick)),
  )
  await listenAll(engines)
  for (const value of upTo(40)) await database.sql('insert into item values ($1, $1)', [value])
  await database.drained()
  expect(record.beside).toEqual([])
  expect(record.values.get('all')).toEqual(upTo(40))
})

test('in a table without a key, a change that commits late is not handled beside a later one, and none is handled twice', async ({
  database,
}) => {
  await createItems(database, 'id int, value int')
  const record = new Record()
  const held = gate()
  const engines = await workers(database, 2, (engine) =>
    onItem(engine, {}, (change) => record.during('all', valueAfter(change) ?? 0, () => held.opened)),
  )
  const late = await database.pool.connect()
  await late.query('begin')
  await late.query('insert into item values (1, 1)')
  await database.sql('insert into item values (2, 2)')
  await engines[0]?.listen()
  await vi.waitFor(() => expect(record.running).toBe(1))
  await late.query('commit')
  late.release()
  // the second worker sees both
  await engines[1]?.listen()
  await vi.waitFor(async () => expect((await asleep(database)) + record.beside.length).toBeGreaterThan(0))
  held.open()
  await database.drained()
  expect(record.beside).toEqual([])
  expect(record.values.get('all')).toEqual([2, 1])
})

test('a change that was in flight when its worker died does not overtake an older one of its row that was not', async ({
  database,
}) => {
  await createItems(database)
  const record = new Record()
  const engines = await workers(database, 1, (engine) =>
    onItem(engine, {}, (change) => record.during(String(change.new?.id), valueAfter(change) ?? 0, tick)),
  )
  await database.sql('insert into item values (1, 1)')
  await database.sql('update item set value = 2')
  // what a dead worker leaves behind, on the younger one alone
  const dead = await database.pool.connect()
  await dead.query(`begin; select from pgpubsub.notification where new ->> 'value' = '2' for update; rollback`)
  dead.release()
  await listenAll(engines)
  await database.drained()
  expect(record.values.get('1')).toEqual([1, 2])
})
