import type { PubSub } from '@pgpubsub/core'
import { gate } from './support/gate.ts'
import { createItems, holdItems, noPoll, onItem, valueAfter } from './support/items.ts'
import { Program } from './support/program.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

// processes are started and killed
vi.setConfig({ testTimeout: 90_000 })

async function program(database: TestDatabase, options: object = {}): Promise<Program> {
  const worker = new Program(database, 'leasing-worker.ts', { OPTIONS: JSON.stringify(options) })
  await worker.told({ listening: true })
  return worker
}

async function install(database: TestDatabase, options: object = {}): Promise<PubSub> {
  const engine = database.core(noPoll)
  onItem(engine, { lease: { seconds: 1 }, ...options }, () => {})
  await engine.install()
  return engine
}

test('while a handler runs, no transaction is open and no row locked, and the lease is prolonged', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const [begun, held] = [gate(), gate()]
  const attempts: number[] = []
  onItem(engine, { lease: { seconds: 1 } }, async ({ attempt }) => {
    attempts.push(attempt)
    begun.open()
    await held.opened
  })
  await engine.install()
  await database.sql('insert into item values (1, 1)')
  await engine.listen()
  await begun.opened

  const [before] = await database.notifications()
  expect(before).toMatchObject({ lease: expect.any(String), attempts: 0, waiting: true })
  const open = `select pid, query from pg_stat_activity
    where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()`
  await vi.waitFor(async () => expect(await database.sql(open)).toEqual([]))
  expect(await database.sql('select id from pgpubsub.notification for update nowait')).toHaveLength(1)
  // well beyond the first second
  await vi.waitFor(
    async () => {
      const [{ run_at: lapsesAt }] = await database.notifications()
      expect(lapsesAt.getTime() - before.run_at.getTime()).toBeGreaterThan(1_500)
    },
    { timeout: 10_000 },
  )
  held.open()
  await database.drained()
  expect(attempts).toEqual([1])
})

test('when its worker is killed, another takes over when the lease lapses, and the attempt counts', async ({
  database,
}) => {
  await createItems(database)
  const engine = await install(database)
  const first = await program(database)
  await database.sql('insert into item values (1, 1)')
  await first.told({ begun: 1, attempt: 1 })
  await first.kill()

  const failed = new Promise((resolve) => engine.on('failed', resolve))
  const handled = new Promise((resolve) => engine.on('handled', resolve))
  await engine.listen()
  expect(await failed).toMatchObject({ id: 1n, attempt: 1, dead: false, error: { code: 'PGPUBSUB_LEASE_LOST' } })
  expect(await handled).toMatchObject({ id: 1n, attempt: 2 })
  await database.drained()
})

test('when its worker hangs, another takes over; the late one is told, and its acknowledgement is refused', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const { begun, held } = holdItems(engine, { lease: { seconds: 1 } })
  await engine.install()
  const first = await program(database)
  await database.sql('insert into item values (1, 1)')
  await first.told({ begun: 1 })
  first.signal('SIGSTOP')
  await engine.listen()
  await begun.opened
  first.signal('SIGCONT')

  await first.told({ ended: 1, because: 'PGPUBSUB_LEASE_LOST' })
  await first.told({ lost: 1, attempt: 1 })
  // it is the other's, and still there
  expect(await database.notifications()).toMatchObject([{ attempts: 1, lease: expect.any(String) }])
  held.open()
  await database.drained()
})

test('a handler that ends while nobody could prolong its lease does not delete what another has taken over', async ({
  database,
}) => {
  await createItems(database)
  await install(database)
  const first = await program(database)
  await database.sql('insert into item values (1, 1)')
  await first.told({ begun: 1 })
  // another worker has it
  await database.sql(`update pgpubsub.notification set lease = gen_random_uuid(), run_at = now() + interval '1 hour'`)
  first.send('done')

  await first.told({ lost: 1, attempt: 1 })
  expect(await database.notifications()).toHaveLength(1)
})

test('changes of a row stay in order, and those of other rows run beside it, in as many slots as there are', async ({
  database,
}) => {
  await createItems(database)
  const running = new Set<number>()
  const most = { beside: 0 }
  const ofOneRow: number[] = []
  const handled: string[] = []
  const engines = [database.core(noPoll), database.core(noPoll)]
  for (const engine of engines) {
    onItem(engine, { lease: { seconds: 5 }, concurrency: 3, backoff: () => 10, attempts: 100 }, async (change) => {
      const row = change.new?.id ?? 0
      if (running.has(row)) ofOneRow.push(row)
      running.add(row)
      most.beside = Math.max(most.beside, running.size)
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
      running.delete(row)
      if (Math.random() < 0.1) throw new Error('at random')
      handled.push(`${row}:${valueAfter(change)}`)
    })
  }
  await engines[0]?.install()
  await database.sql('insert into item select id, 1 from generate_series(1, 12) id')
  await Promise.all(engines.map((engine) => engine.listen()))
  for (let value = 2; value <= 6; value++) await database.sql('update item set value = value + 1')
  await database.drained()

  expect(ofOneRow).toEqual([])
  expect(most.beside).toBeGreaterThan(1)
  expect(most.beside).toBeLessThanOrEqual(6)
  for (let row = 1; row <= 12; row++) {
    expect(handled.filter((each) => each.startsWith(`${row}:`))).toEqual([1, 2, 3, 4, 5, 6].map((v) => `${row}:${v}`))
  }
})

test('a slow handler keeps no other waiting: as soon as a slot is free, the next change is taken', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  const handled: (number | undefined)[] = []
  onItem(engine, { lease: { seconds: 5 }, concurrency: 2 }, async (change) => {
    if (change.new?.id === 1) await held.opened
    handled.push(change.new?.id)
  })
  await engine.install()
  await database.sql('insert into item select id, 1 from generate_series(1, 9) id')
  await engine.listen()

  await vi.waitFor(() => expect(handled).toHaveLength(8), { timeout: 10_000 })
  held.open()
  await database.drained()
  expect(handled.at(-1)).toBe(1)
})

test('what a stopped worker had not finished is handed back at once, and its attempt does not count', async ({
  database,
}) => {
  await createItems(database)
  const [first, second] = [database.core(noPoll), database.core(noPoll)]
  const begun = gate()
  const attempts: number[] = []
  onItem(first, { lease: { seconds: 3_600 } }, () => {
    begun.open()
    return new Promise(() => {})
  })
  onItem(second, { lease: { seconds: 3_600 } }, ({ attempt }) => void attempts.push(attempt))
  await first.install()
  const worker = await first.listen()
  await database.sql('insert into item values (1, 1)')
  await begun.opened
  await second.listen()
  await worker.stop({ graceMs: 0 })
  await database.drained()

  expect(attempts).toEqual([1])
})

test('failures, retries and dead letters are as without a lease', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const attempts: string[] = []
  onItem(engine, { lease: { seconds: 5 }, attempts: 2, backoff: () => 10 }, (change) => {
    attempts.push(`${change.new?.id}: ${change.attempt}`)
    if (change.new?.id === 1) throw new Error('poison')
    if (change.attempt === 1) throw new Error('once')
  })
  await engine.install()
  await database.sql('insert into item values (1, 1), (2, 2)')
  await engine.listen()
  await database.drained()

  expect(attempts.sort()).toEqual(['1: 1', '1: 2', '2: 1', '2: 2'])
  expect(await engine.deadLetters.list()).toMatchObject([{ id: 1n, attempts: 2 }])
})

test('a list of changes is leased together', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const lists: number[] = []
  engine.onChange({ table: 'item', name: 'items', lease: { seconds: 5 }, batch: { size: 4 } }, (changes) => {
    lists.push(changes.length)
  })
  await engine.install()
  await database.sql('insert into item select id, 1 from generate_series(1, 10) id')
  await engine.listen()
  await database.drained()

  expect(lists).toEqual([4, 4, 2])
})

test('what kills its worker is retried alone, and ends as a dead letter', async ({ database }) => {
  await createItems(database)
  const engine = await install(database)
  await database.sql('insert into item select id, case when id = 4 then 13 else id end from generate_series(1, 6) id')
  for (let deaths = 0; deaths < 2; deaths++) {
    const worker = new Program(database, 'killed-worker.ts', {
      KILL: 'SIGKILL',
      OPTIONS: JSON.stringify({ lease: { seconds: 1 }, attempts: 2 }),
    })
    await worker.ended()
  }
  await engine.close()
  const last = database.core(noPoll)
  onItem(last, { lease: { seconds: 1 }, attempts: 2 }, () => {})
  await last.listen()
  await database.drained()
  expect(await last.deadLetters.list()).toMatchObject([{ new: { id: 4 }, attempts: 2 }])
})
