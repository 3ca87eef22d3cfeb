import { PubSub, silentLogger } from '@pgpubsub/core'
import pg from 'pg'
import { gate } from './support/gate.ts'
import { createItems, noPoll, onItem } from './support/items.ts'
import { expect, test, vi } from './support/test.ts'

test('listeners that are declared after install() and hold their batches all get a connection', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  const begun = new Set<string>()
  onItem(engine, { name: 'first' }, () => {})
  await engine.install()
  for (let number = 0; number < 14; number++) {
    const name = `late ${number}`
    onItem(engine, { name }, async () => {
      begun.add(name)
      await held.opened
    })
  }
  await engine.install()
  await engine.listen()
  await database.sql(`insert into item values (1, 1)`)

  await vi.waitFor(() => expect(begun.size).toBe(14), { timeout: 10_000 })
  held.open()
  await database.drained()
})

test('a pool with fewer connections than listeners is warned of', async ({ database }) => {
  await createItems(database)
  const pool = new pg.Pool({ connectionString: database.url, max: 2 })
  database.closeLater(() => pool.end())
  const warnings: object[] = []
  const logger = { ...silentLogger, warn: (what: object) => void warnings.push(what) }
  const engine = new PubSub({ pool, logger })
  database.closeLater(() => engine.close())
  for (const name of ['one', 'two']) onItem(engine, { name }, () => {})
  await engine.install()
  await engine.listen()

  expect(warnings).toEqual([{ max: 2, listeners: 2 }])
})

test('an installation whose connection is cut rejects, and harms nobody', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, { name: 'installed' }, () => {})
  const holder = new pg.Client(database.url)
  await holder.connect()
  await holder.query('begin; lock table item in access exclusive mode')
  const installing = engine.install()
  const outcome = installing.then(
    () => 'installed',
    () => 'rejected',
  )
  const waiting = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
  await vi.waitFor(async () => expect(await database.sql(waiting)).toHaveLength(1), { timeout: 10_000, interval: 5 })
  await database.sql(`select pg_terminate_backend(pid) from (${waiting}) w`)

  expect(await outcome).toBe('rejected')
  await holder.query('rollback')
  await holder.end()
  expect((await engine.install()).created).not.toEqual([])
})

test('an event handler that rejects, and a logger that throws, stop nothing', async ({ database }) => {
  await createItems(database)
  const broken = () => {
    throw new Error('the log is full')
  }
  const engine = new PubSub({
    connectionString: database.url,
    logger: { debug: broken, info: broken, warn: broken, error: broken },
  })
  database.closeLater(() => engine.close())
  let handled = 0
  engine.on('handled', async () => {
    handled++
    throw new Error('nobody awaits this')
  })
  onItem(engine, { name: 'goes-on' }, () => {})
  await engine.install()
  await engine.listen()
  await database.sql(`insert into item values (1, 1), (2, 2)`)
  await database.drained()

  await vi.waitFor(() => expect(handled).toBe(2))
})
