import { RetryAt } from '@pgpubsub/core'
import pg from 'pg'
import { untilAsleep } from './support/asleep.ts'
import { createImpostors } from './support/impostors.ts'
import { createItems, noPoll, onItem, valueAfter } from './support/items.ts'
import { clientOfNewRole } from './support/new-role.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

/** A connection of a new role that may write the table `item`, and nothing else. */
const hostile = (database: TestDatabase) =>
  clientOfNewRole(database, ['select, insert, update, delete, truncate on item'])

test('functions and operators that it puts into public are run by no worker, no installation and no trigger', {
  timeout: 60_000,
}, async ({ database }) => {
  await createItems(database)
  const { client, role } = await hostile(database)
  // before PostgreSQL 15 every role may
  await database.sql(`grant create on schema public to ${role}`)
  expect(await createImpostors(client)).toBeGreaterThan(5_000)
  const errors: unknown[] = []
  const handled: string[] = []
  const engine = database.core({ ...noPoll, defaults: { attempts: 2, backoff: () => 1 } })
  engine.on('error', ({ error }) => errors.push(error))
  let repaired = false
  onItem(engine, { columns: ['value'], omit: ['id'], highWaterMark: 1_000 }, (change) => {
    if (valueAfter(change) === 2 && !repaired)
      throw change.attempt === 1 ? new RetryAt(new Date()) : new Error('poison')
    handled.push(`${change.operation} ${valueAfter(change)}`)
  })
  const come = (count: number) =>
    vi.waitFor(() => expect([handled.length, errors]).toEqual([count, []]), { timeout: 10_000 })
  let died = 0
  engine.on('failed', ({ dead }) => void (dead && died++))

  expect((await engine.install()).created).toHaveLength(3)
  expect((await engine.install()).created).toEqual([])
  await engine.sql()
  await client.query('set search_path = pg_temp, public, pg_catalog')
  await client.query('begin; insert into item values (1, 1), (2, 2)')
  await engine.listen()
  // it falls asleep while someone is writing, and looks who
  await untilAsleep(database)
  await client.query('commit')
  await vi.waitFor(() => expect([died, errors]).toEqual([1, []]), { timeout: 10_000 })
  expect(await engine.deadLetters.list({ listener: 'items', error: 'poison' })).toHaveLength(1)
  await engine.pause('items')
  repaired = true
  expect(await engine.deadLetters.retry('all')).toBe(1)
  await engine.resume('items')
  await come(2)
  await client.query('update item set value = 11')
  await client.query('delete from item')
  await come(6)
  expect(await engine.deadLetters.discard('all')).toBe(0)
  expect(await engine.status()).toHaveLength(1)
  await engine.doctor()
  await engine.waitForCapacity('items')
  expect(errors).toEqual([])
})

const attacks = [
  'select * from pgpubsub.notification',
  'select * from pgpubsub.dead_letter for update',
  `insert into pgpubsub.notification (listener, operation, new, context) values ('items', 'insert', '{"id": 9}', '{}')`,
  'update pgpubsub.notification set new = null',
  'delete from pgpubsub.dead_letter',
  'truncate pgpubsub.notification',
  'copy pgpubsub.notification to stdout',
  'do $$ begin lock table pgpubsub.notification in access share mode; end $$',
  'create table heir () inherits (pgpubsub.notification)',
  'create temporary view spy as select * from pgpubsub.dead_letter; select * from spy',
  'create index on pgpubsub.notification (id)',
  'create rule spy as on insert to pgpubsub.notification do also notify spy',
  'create policy spy on pgpubsub.notification',
  'comment on table pgpubsub.notification is null',
  `select setval('pgpubsub.notification_id_seq', 1)`,
  `select pgpubsub.asleep_key('items')`,
  `select pgpubsub.context_of('{}')`,
  'select pgpubsub."insert items"()',
  'alter function pgpubsub."insert items"() security invoker',
  'create or replace function pgpubsub."insert items"() returns trigger language plpgsql as $$ begin return null; end $$',
  `create trigger forged after insert on mine for each row execute function pgpubsub."insert items"()`,
  `create trigger second after insert on item for each row execute function pgpubsub."insert items"()`,
  'drop trigger "~pgpubsub insert items" on item',
  'alter trigger "~pgpubsub insert items" on item rename to gone',
  'alter table item disable trigger all',
  'create table part () inherits (item)',
  'set session_replication_role = replica',
  'drop schema pgpubsub cascade',
  'alter schema pgpubsub rename to gone',
  'update pgpubsub.listener set paused = true',
]

test.for(['closed to it', 'open to everybody'] as const)(
  'it reads, forges, deletes and stops nothing, in a schema that is %s',
  async (usage, { database }) => {
    await createItems(database)
    const engine = database.core({ ...noPoll, defaults: { attempts: 1 } })
    onItem(engine, {}, () => {
      throw new Error('poison')
    })
    await engine.install()
    if (usage === 'open to everybody') await database.sql('grant usage on schema pgpubsub to public')
    const { client } = await hostile(database)
    await client.query('create temporary table mine (id int, value int)')
    const worker = await engine.listen()
    const dead = new Promise((resolve) => engine.on('failed', resolve))
    await client.query('insert into item values (1, 1)')
    await dead
    await worker.stop()
    await client.query('update item set value = 2')
    const everything = async () =>
      Promise.all(
        ['notification', 'dead_letter', 'listener'].map((table) => database.sql(`select * from pgpubsub.${table}`)),
      )
    const before = await everything()

    for (const attack of attacks) {
      await expect(client.query(attack), attack).rejects.toMatchObject({ code: '42501' })
    }

    expect(await everything()).toEqual(before)
    expect(before.map((rows) => rows.length)).toEqual([1, 1, 1])
    await client.query('delete from item')
    expect(await database.notifications()).toMatchObject([{ operation: 'update' }, { operation: 'delete' }])
  },
)

test('its writes of every kind are captured by triggers of every kind', async ({ database }) => {
  await createItems(database)
  const { client } = await hostile(database)
  const engine = database.core()
  const kinds = [
    { name: 'after' },
    { name: 'before', timing: 'before' },
    { name: 'part', select: ['id'], columns: ['value'], wake: 'always' },
    { name: 'keys', keysOnly: true, order: 'none', wake: 'never' },
  ] as const
  for (const kind of kinds) onItem(engine, kind, () => {})
  onItem(engine, { name: 'truncate', operations: ['truncate'] }, () => {})
  await engine.install()

  await client.query('insert into item values (1, 1), (2, 2)')
  await client.query('update item set value = 3 where id = 1')
  await client.query('insert into item values (2, 4) on conflict (id) do update set value = excluded.value')
  await client.query('delete from item where id = 1')
  await client.query('truncate item')

  const stored = await database.sql(
    `select listener, string_agg(operation, ' ' order by id) as operations from pgpubsub.notification group by 1 order by 1`,
  )
  const operations = 'insert insert update update delete'
  expect(stored).toEqual([
    { listener: 'after', operations },
    // PostgreSQL's own way: ON CONFLICT asks before it inserts
    { listener: 'before', operations: 'insert insert update insert update delete' },
    { listener: 'keys', operations },
    { listener: 'part', operations },
    { listener: 'truncate', operations: 'truncate' },
  ])
})

test('whatever it does with the lock of sleeping workers and with NOTIFY, every change is handled once, and soon', async ({
  database,
}) => {
  await createItems(database)
  const { client } = await hostile(database)
  const handled: unknown[] = []
  const errors: unknown[] = []
  const engine = database.core({ pollIntervalMs: 200 })
  onItem(engine, {}, (change) => handled.push(valueAfter(change)))
  engine.on('error', ({ error }) => errors.push(error))
  await engine.install()
  await engine.listen()
  // it needs no right to compute it
  const key = `hashtextextended('pgpubsub asleep pgpubsub items', 0)`
  const [{ own }] = await database.sql(`select ${key} = pgpubsub.asleep_key('items') as own`)
  expect(own).toBe(true)
  let value = 0
  const written = async (by: { query: (sql: string) => Promise<unknown> }) => {
    await by.query(`insert into item values (${++value}, ${value})`)
    await vi.waitFor(() => expect(handled).toHaveLength(value), { timeout: 10_000, interval: 5 })
  }
  for (const lock of ['pg_advisory_lock', 'pg_advisory_lock_shared', 'pg_advisory_lock']) {
    await client.query(`select ${lock}(${key})`)
    for (const by of [client, database.pool, client]) await written(by)
    for (let call = 0; call < 50; call++) await client.query(`notify pgpubsub, 'items'`)
    // gone in the moment in which a worker could not declare that it sleeps: nobody is told
    await client.query('select pg_advisory_unlock_all()')
    for (const by of [client, database.pool]) await written(by)
  }
  expect(handled).toEqual(Array.from({ length: value }, (_, index) => index + 1))
  expect(errors).toEqual([])
})

test('with the lock of sleeping workers taken for ever, changes are handled without any slow poll', async ({
  database,
}) => {
  await createItems(database)
  const { client } = await hostile(database)
  await client.query(`select pg_advisory_lock(hashtextextended('pgpubsub asleep pgpubsub items', 0))`)
  const handled: unknown[] = []
  const engine = database.core(noPoll)
  onItem(engine, {}, (change) => handled.push(valueAfter(change)))
  await engine.install()
  await engine.listen()
  for (let value = 1; value <= 6; value++) {
    await database.sql('insert into item values ($1, $1)', [value])
    await vi.waitFor(() => expect(handled).toHaveLength(value), { timeout: 10_000, interval: 5 })
  }
})

const names = [
  `it's`,
  '"quoted"',
  'back\\slash',
  '$function$; drop table item',
  '🎫',
  'line\nend',
  'x'.repeat(63),
  'user',
]

test('it may have any name', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
  const { client } = await hostile(database)
  await client.query('reset role')
  for (const [index, name] of names.entries()) {
    const role = pg.escapeIdentifier(name)
    await database.sql(`create role ${role}; grant insert on item to ${role}`)
    database.closeLater(() => database.sql(`drop owned by ${role}; drop role ${role}`))
    await client.query(`set role ${role}`)
    await client.query(`insert into item values (${index}, 1)`)
    await client.query('reset role')
  }
  expect(await database.notifications()).toHaveLength(names.length)
})
