import { randomBytes } from 'node:crypto'
import type { PubSub } from '@pgpubsub/core'
import pg from 'pg'
import { codes, found } from './support/doctor.ts'
import { createItems, onItem } from './support/items.ts'
import { test as testAlone } from './support/own-server.ts'
import { standbyWithFeedback } from './support/standby.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

async function installed(database: TestDatabase): Promise<PubSub> {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
  return engine
}

/** Notifications that were stored and deleted. */
async function dead(database: TestDatabase, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: database.url, application_name: 'test' })
  await client.connect()
  await client.query(`insert into item select n, n from generate_series(1, ${count}) n`)
  await client.query('delete from pgpubsub.notification')
  await client.end() // what it has done is in the server's statistics when it has gone
}

/** Autovacuum passes by a table that is locked like that; it would come once a minute, and take the dead rows away. */
async function keepAutovacuumAway(database: TestDatabase): Promise<void> {
  const client = await session(database, 'keeps autovacuum away')
  await client.query('begin; lock table pgpubsub.notification in share update exclusive mode')
}

/** A connection that ends with the test. */
async function session(database: TestDatabase, name: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: database.url, application_name: name })
  client.on('error', () => {})
  await client.connect()
  database.closeLater(() => client.end())
  return client
}

const name = () => `test_${randomBytes(6).toString('hex')}`

test('a healthy database has no finding, before it is used, while a worker runs, and after', async ({ database }) => {
  const engine = await installed(database)
  expect(await codes(engine)).toEqual([])
  const [{ off }] = await database.sql(`select current_setting('fsync') = 'off' as off`)
  expect((await engine.doctor()).map(({ code, severity }) => [code, severity])).toEqual(
    off ? [['fsync-off', 'info']] : [],
  )

  const worker = await engine.listen()
  await database.sql('insert into item select n, n from generate_series(1, 2000) n')
  expect(await codes(engine)).toEqual([])
  await database.drained()
  await worker.stop()
  expect(await codes(engine)).toEqual([])
  expect(await codes(database.core()), 'without what is declared').toEqual([])
})

test('a transaction that is open for long, with who and what, and only where it holds back something', async ({
  database,
}) => {
  const engine = await installed(database)
  await keepAutovacuumAway(database)
  await dead(database, 2000)
  const [reader, writer, harmless] = await Promise.all(
    ['reader', 'writer', 'harmless'].map((name) => session(database, name)),
  )
  await reader!.query('begin isolation level repeatable read; select from item')
  await writer!.query("begin; insert into item values (100000, 1); select 'its last statement'")
  await harmless!.query('begin; select from item')
  const all = { transactionSeconds: 0 }

  expect(await codes(engine)).toEqual([])
  const findings = await vi.waitFor(
    async () => {
      const now = await found(engine, 'long-transaction', { ...all, deadRows: 1000 })
      expect(now.map(({ severity, details }) => [severity, details.application])).toEqual([
        ['warning', 'reader'],
        ['warning', 'writer'],
      ])
      return now
    },
    { timeout: 10_000 },
  )
  const [, ofWriter] = findings
  expect(ofWriter).toMatchObject({
    subject: expect.stringMatching(/^process \d+$/),
    message: expect.stringMatching(/"writer".*idle in transaction.*its last statement/),
    remedy: expect.stringContaining('pg_terminate_backend('),
    details: { state: 'idle in transaction', worker: false },
  })
  const severity = async (deadRows: number) =>
    (await found(engine, 'long-transaction', { ...all, deadRows })).map((finding) => finding.severity)
  expect(await severity(1_000_000)).toEqual(['info', 'info'])
  expect(await severity(100)).toEqual(['problem', 'problem'])
  for (const client of [reader, writer, harmless]) await client!.query('rollback')
  expect(await codes(engine, all)).toEqual([])
})

test("a worker's own batch whose handler takes long is told from others", async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  let release = () => {}
  onItem(engine, {}, () => new Promise<void>((resolve) => (release = resolve)))
  await engine.install()
  const worker = await engine.listen()
  await database.sql('insert into item values (1, 1)')
  const [finding] = await found(engine, 'long-transaction', { transactionSeconds: 0 })
  expect(finding).toMatchObject({ message: expect.stringMatching(/^A worker/), details: { worker: true } })
  release()
  await database.drained()
  await worker.stop()
})

test('a prepared transaction that nobody ends', async ({ database }) => {
  const [{ most }] = await database.sql(`select current_setting('max_prepared_transactions')::int as most`)
  expect(most, 'the test needs a server with max_prepared_transactions above 0').toBeGreaterThan(0)
  const engine = await installed(database)
  const gid = `it's ${name()}`
  await database.sql(`begin; insert into item values (1, 1); prepare transaction ${pg.escapeLiteral(gid)}`)
  try {
    expect(await codes(engine)).toEqual([])
    const findings = await found(engine, 'prepared-transaction', { transactionSeconds: 0 })
    expect(findings).toMatchObject([
      {
        severity: 'warning',
        subject: `prepared transaction ${gid}`,
        message: expect.stringContaining('by the role postgres'),
        remedy: expect.stringContaining(`rollback prepared ${pg.escapeLiteral(gid)}`),
      },
    ])
  } finally {
    await database.sql(`rollback prepared ${pg.escapeLiteral(gid)}`)
  }
  expect(await codes(engine, { transactionSeconds: 0 })).toEqual([])
})

test('a replication slot that retains WAL, and one whose standby has gone with its feedback', async ({ database }) => {
  const engine = await installed(database)
  await keepAutovacuumAway(database)
  const slot = name()
  await database.sql(`select pg_create_physical_replication_slot($1, true)`, [slot])
  try {
    await dead(database, 2000)
    expect(await codes(engine)).toEqual([])
    const [wal] = await found(engine, 'replication-slot', { retainedWalBytes: 1000 })
    expect(wal).toMatchObject({
      severity: 'warning',
      subject: `replication slot ${slot}`,
      message: expect.stringMatching(/not in use\. It retains [\d.]+ (kB|MB) of WAL/),
      remedy: expect.stringContaining(`pg_drop_replication_slot('${slot}')`),
    })

    const gone = await standbyWithFeedback(database, { slot })
    await vi.waitFor(
      async () => {
        const [row] = await database.sql('select xmin from pg_replication_slots where slot_name = $1', [slot])
        expect(row.xmin).not.toBeNull()
      },
      { timeout: 10_000 },
    )
    await database.sql('insert into item values (3000, 1)')
    expect(await codes(engine), 'in use, and not far behind').toEqual([])
    const [lagging] = await found(engine, 'replication-slot', { lagTransactions: 1 })
    expect(lagging).toMatchObject({ severity: 'info', details: { active: true } })

    await gone()
    await vi.waitFor(
      async () => {
        const [held] = await found(engine, 'replication-slot', { deadRows: 1000 })
        expect(held).toMatchObject({
          severity: 'warning',
          message: expect.stringMatching(/not in use.*holds back vacuum by [1-9].*dead rows.*of the catalogues/),
          details: { active: false },
        })
      },
      { timeout: 10_000 },
    )
  } finally {
    await vi.waitFor(() => database.sql('select pg_drop_replication_slot($1)', [slot]))
  }
  expect(await codes(engine, { retainedWalBytes: 0, lagTransactions: 0 })).toEqual([])
})

test('a standby with feedback and without a slot', async ({ database }) => {
  const engine = await installed(database)
  const gone = await standbyWithFeedback(database)
  await database.sql('insert into item values (1, 1)')
  const [finding] = await found(engine, 'standby-feedback', { lagTransactions: 1 })
  expect(finding).toMatchObject({
    severity: 'info',
    subject: 'standby "test standby"',
    message: expect.stringContaining('hot_standby_feedback'),
  })
  expect(await codes(engine)).toEqual([])
  await gone()
  await vi.waitFor(async () => expect(await codes(engine, { lagTransactions: 1 })).toEqual([]))
})

test('dead rows that nobody vacuums, and what is left empty after a backlog', async ({ database }) => {
  const engine = await installed(database)
  await database.sql('alter table pgpubsub.notification set (autovacuum_enabled = false)')
  await dead(database, 3000)
  const options = { deadRows: 3000, tableBytes: 100_000 }
  const [dirty] = await found(engine, 'dead-rows', options)
  expect(dirty).toMatchObject({
    severity: 'warning',
    subject: 'table "pgpubsub"."notification"',
    message: expect.stringMatching(/3,000 dead rows.*last vacuumed never/),
    remedy: expect.stringContaining('vacuum "pgpubsub"."notification"'),
  })
  const [inflated] = await found(engine, 'bloat', options)
  expect(inflated).toMatchObject({
    severity: 'warning',
    message: expect.stringMatching(/kB for its rows and \d+ kB for its indexes, and has 0 live rows/),
  })
  expect(await codes(engine)).toEqual(['autovacuum-off'])

  // what holds the server's vacuum back for a moment may be another test's
  const cured = async () => {
    await database.sql('vacuum (full) pgpubsub.notification')
    await database.sql('vacuum pgpubsub.notification')
    expect(await codes(engine, options)).toEqual(['autovacuum-off'])
  }
  await vi.waitFor(cured, { timeout: 20_000, interval: 500 })
})

// the queue is one for all databases of a server, and so are the transactions that may hold it back
testAlone('a NOTIFY queue that fills up behind a session that listens in a transaction', async ({ database }) => {
  const engine = await installed(database)
  const listening = await session(database, 'forgets to commit')
  await listening.query('listen anything')
  await listening.query('begin; select 1')
  await database.sql(`select count(pg_notify('anything', repeat('x', 7900) || n)) from generate_series(1, 200) n`)
  expect(await codes(engine)).toEqual([])
  const [finding] = await found(engine, 'notify-queue', { notifyQueueUsage: 0.0001 })
  expect(finding).toMatchObject({
    severity: 'warning',
    message: expect.stringContaining('"forgets to commit"'),
    remedy: expect.stringContaining('pg_terminate_backend'),
  })
  await listening.query('commit')
})
