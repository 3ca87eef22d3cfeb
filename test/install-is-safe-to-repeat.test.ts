import { PubSub, silentLogger, type TableListenerOptions } from '@pgpubsub/core'
import pg from 'pg'
import { catalogue } from './support/catalogue.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const ignore = () => {}

/** A program with these listeners on `media`. */
function program(database: TestDatabase, ...listeners: Partial<TableListenerOptions>[]): PubSub {
  const core = database.core()
  for (const [index, options] of listeners.entries()) {
    core.onChange({ name: `listener ${index}`, table: 'media', ...options }, ignore)
  }
  return core
}

/** Every trigger with what tells whether it was touched, and where its row in the catalogue is. */
function triggers(database: TestDatabase) {
  return database.sql(`select tgname, tgrelid::regclass::text as table, tgenabled, xmin::text, ctid::text, oid::int,
      obj_description(oid, 'pg_trigger') as comment
    from pg_trigger where not tgisinternal order by 1, 2`)
}

test('of eight processes that start at once one installs, and the others find nothing left to do', async ({
  database,
}) => {
  const all = Array.from({ length: 8 }, () => program(database, {}, { operations: ['truncate'] }))

  const reports = await Promise.all(all.map((core) => core.install()))

  const busy = reports.filter((report) => report.created.length > 0)
  expect(busy).toHaveLength(1)
  expect(busy[0]?.created).toHaveLength(4)
  expect(busy[0]?.engine.from).toBe(0)
  for (const { replaced, dropped, engine } of reports) {
    expect([replaced, dropped]).toEqual([[], []])
    expect(engine.to).toBe(busy[0]?.engine.to)
  }
  expect(await triggers(database)).toHaveLength(4)
})

test('install again is a no-op: no lock, no new row, not even while others hold the table', async ({ database }) => {
  const core = program(database, {}, { columns: ['title'], order: 'none' })
  await core.install()
  const before = await triggers(database)
  const listeners = await database.sql('select xmin::text, * from pgpubsub.listener order by name')
  const migrations = await database.sql('select xmin::text, * from pgpubsub.migration order by number')
  const holder = await database.pool.connect()
  await holder.query('begin')
  await holder.query('lock table media, pgpubsub.listener, pgpubsub.notification in row exclusive mode')

  const again = await core.install()
  const concurrently = await Promise.all(
    Array.from({ length: 4 }, () => program(database, {}, { columns: ['title'], order: 'none' }).install()),
  )

  await holder.query('rollback')
  holder.release()
  const { to } = again.engine
  for (const report of [again, ...concurrently]) {
    expect(report).toEqual({ engine: { from: to, to }, created: [], replaced: [], dropped: [] })
  }
  expect(await triggers(database)).toEqual(before)
  expect(await database.sql('select xmin::text, * from pgpubsub.listener order by name')).toEqual(listeners)
  expect(await database.sql('select xmin::text, * from pgpubsub.migration order by number')).toEqual(migrations)
})

test("a removed listener's trigger goes, and its waiting notifications stay", async ({ database }) => {
  await program(database, { name: 'kept' }, { name: 'removed', operations: ['insert'] }).install()
  await database.sql(`insert into media (url) values ('before')`)

  const report = await program(database, { name: 'kept' }).install()
  await database.sql(`insert into media (url) values ('after')`)

  expect(report).toMatchObject({ created: [], replaced: [], dropped: [expect.stringContaining('removed')] })
  const stored = (await database.notifications()).map((row) => `${row.listener}: ${row.new.url}`)
  expect(stored.sort()).toEqual(['kept: after', 'kept: before', 'removed: before'])
  expect(await database.sql('select name from pgpubsub.listener')).toEqual([{ name: 'kept' }])
  await database.core().install()
  expect(await triggers(database)).toEqual([])
})

test('a changed definition is replaced, an unchanged one beside it is not touched', async ({ database }) => {
  await program(database, { operations: ['update'] }, { operations: ['update'] }).install()
  const [unchanged, before] = await triggers(database)

  const report = await program(
    database,
    { operations: ['update'] },
    { operations: ['update'], columns: ['title'] },
  ).install()

  expect(report).toMatchObject({ created: [], dropped: [], replaced: [expect.stringContaining('listener 1')] })
  const [same, after] = await triggers(database)
  expect(same).toEqual(unchanged)
  expect(after.tgname).toBe(before.tgname)
  expect(after.comment).not.toBe(before.comment)
  await database.sql(`insert into media (url) values ('a'); update media set url = 'b'`)
  expect((await database.notifications()).map((row) => row.listener)).toEqual(['listener 0'])
})

test('a listener that moves to another table or to other operations leaves nothing behind', async ({ database }) => {
  await program(database, { operations: ['insert', 'delete'] }).install()
  await program(database, { table: 'tag', operations: ['insert', 'update'] }).install()

  expect((await triggers(database)).map(({ table, tgname }) => [table, tgname.split(' ')[1]])).toEqual([
    ['tag', 'insert'],
    ['tag', 'update'],
  ])
  expect(await database.sql('select table_name from pgpubsub.listener')).toEqual([{ table_name: 'tag' }])
})

test('a trigger has a function of its own, and the function goes with it or with its table', async ({ database }) => {
  await database.sql('create table passing (id int primary key)')
  const functions = async () =>
    (
      await database.sql(`select proname from pg_proc p join pg_namespace n on n.oid = p.pronamespace
        where n.nspname = 'pgpubsub' and p.prorettype = 'trigger'::regtype order by 1`)
    ).map(({ proname }) => proname)
  const passing = { name: 'x'.repeat(63), table: 'passing', operations: ['insert'] } as const
  await program(database, { operations: ['insert', 'update'] }, passing).install()
  expect(await functions()).toEqual([
    expect.stringMatching(/^insert [0-9a-f]{16}$/),
    'insert listener 0',
    'update listener 0',
  ])

  await database.sql('drop table passing')
  await program(database, { operations: ['update'] }).install()

  expect(await functions()).toEqual(['update listener 0'])
})

test('a trigger that was disabled, lost its comment, or was dropped by hand is put right', async ({ database }) => {
  const core = program(database, { operations: ['insert', 'update', 'delete'] })
  await core.install()
  const name = (operation: string) => pg.escapeIdentifier(`~pgpubsub ${operation} listener 0`)
  await database.sql(`alter table media disable trigger ${name('insert')};
    comment on trigger ${name('update')} on media is null;
    drop trigger ${name('delete')} on media`)

  const report = await core.install()
  await database.sql(`insert into media (url) values ('a'); update media set url = 'b'; delete from media`)

  expect(report).toMatchObject({ dropped: [], created: [expect.stringContaining('delete')] })
  expect(report.replaced).toHaveLength(2)
  expect((await database.notifications()).map((row) => row.operation)).toEqual(['insert', 'update', 'delete'])
  expect(await core.install()).toMatchObject({ created: [], replaced: [], dropped: [] })
})

test('while writers insert, many installs with changing definitions miss no change', async ({ database }) => {
  const definitions: Partial<TableListenerOptions>[] = [
    { name: 'all' },
    { name: 'all', order: 'none' },
    { name: 'all', omit: ['title'] },
    { name: 'all', wake: 'never' },
    { name: 'all', select: ['id', 'url'] },
  ]
  await program(database, definitions[0] ?? {}).install()
  let writing = true
  const written: number[] = []
  const write = async () => {
    const client = new pg.Client(database.url)
    await client.connect()
    for (; writing; ) {
      const { rows } = await client.query(`insert into media (url) values ('a') returning id`)
      written.push(rows[0].id)
    }
    await client.end()
  }
  const writers = [write(), write(), write()]
  await vi.waitFor(() => expect(written.length).toBeGreaterThan(20))

  let replaced = 0
  for (let round = 1; round <= 25; round++) {
    const before = written.length
    replaced += (
      await program(
        database,
        definitions[round % definitions.length] ?? {},
        ...(round % 2 ? [{ name: 'other' }] : []),
      ).install()
    ).replaced.length
    await vi.waitFor(() => expect(written.length).toBeGreaterThan(before))
  }
  writing = false
  await Promise.all(writers)

  expect(replaced).toBe(75)
  const stored = await database.sql(
    `select (new ->> 'id')::int as id from pgpubsub.notification where listener = 'all' order by 1`,
  )
  expect(stored.map((row) => row.id)).toEqual(written.sort((a, b) => a - b))
})

test('a long transaction on the table delays install and nobody else', async ({ database }) => {
  const [holder, writer] = await Promise.all([database.pool.connect(), database.pool.connect()])
  await holder.query(`begin; insert into media (url) values ('long')`)
  await writer.query(`set statement_timeout = '10s'`)
  const ended = vi.fn()
  const installed = program(database, {})
    .install()
    .then((report) => report.created.length)
    .finally(ended)
  const waits = `select from pg_stat_activity where application_name = 'pgpubsub' and wait_event_type = 'Lock'
    and datname = current_database()`

  try {
    // it waits, gives up, and waits again: in between everyone else gets through
    for (let attempt = 1; attempt <= 3; attempt++) {
      await vi.waitFor(async () => expect(await database.sql(waits)).toHaveLength(1), { timeout: 10_000, interval: 5 })
      await writer.query(`insert into media (url) values ('short')`)
    }
    expect(ended).not.toHaveBeenCalled()
    expect(await triggers(database)).toEqual([])
  } finally {
    await holder.query('commit')
    holder.release()
    writer.release(true)
  }

  expect(await installed).toBe(3)
  await database.sql(`insert into media (url) values ('captured')`)
  expect(await database.notifications()).toHaveLength(1)
})

test('an install that fails leaves everything as it was', async ({ database }) => {
  await program(database, {}).install()
  const before = await catalogue(database)
  const unknown = program(database, { operations: ['insert'] }, { columns: ['nowhere'] })

  await expect(unknown.install()).rejects.toMatchObject({ code: 'PGPUBSUB_UNKNOWN_COLUMN' })
  await database.sql(`create function refuse() returns event_trigger language plpgsql as $$ begin raise 'refused'; end $$;
    create event trigger refuse on ddl_command_end when tag in ('COMMENT') execute function refuse()`)
  await expect(program(database, { order: 'none' }, {}).install()).rejects.toThrow('refused')
  await database.sql('drop event trigger refuse; drop function refuse')

  expect(await catalogue(database)).toEqual(before)
  await database.sql(`insert into media (url) values ('a')`)
  expect(await database.notifications()).toHaveLength(1)
})

describe('sql()', () => {
  test('makes the same of an empty database as install(), may be applied twice, and leaves install() nothing', async ({
    database,
  }) => {
    const prisma = database.prisma()
    prisma.media.onPostSave(
      { name: `it's "media" \\ 🎫 -- $do$`, columns: ['title', 'status'], omit: { url: true } },
      ignore,
    )
    prisma.ticket.onPreDelete('ticket', ignore)
    prisma.measurement.onPostChange({ name: 'measurement', order: 'none', wake: 'never' }, ignore)
    prisma.reading.onTruncate('reading', ignore)
    const sql = await prisma.$pubsub.sql()
    expect(await database.sql(`select from pg_namespace where nspname = 'pgpubsub'`)).toEqual([])

    await prisma.$pubsub.install()
    const installed = await catalogue(database)
    await database.sql('drop schema pgpubsub cascade')
    expect(await triggers(database)).toEqual([])
    await database.sql(sql)
    expect(await catalogue(database)).toEqual(installed)
    await database.sql(sql)
    await database.sql(await prisma.$pubsub.sql())

    expect(await catalogue(database)).toEqual(installed)
    const { created, replaced, dropped } = await prisma.$pubsub.install()
    expect([created, replaced, dropped]).toEqual([[], [], []])
  })

  test('applied over another installation it removes what is not declared, and keeps what waits', async ({
    database,
  }) => {
    await program(database, { name: 'kept' }, { name: 'removed' }, { name: 'changed', order: 'none' }).install()
    await database.sql(`insert into media (url) values ('a')`)
    const core = program(database, { name: 'kept' }, { name: 'changed' }, { name: 'added', table: 'tag' })

    await database.sql(await core.sql())

    expect(await core.install()).toMatchObject({ created: [], replaced: [], dropped: [] })
    expect(new Set((await database.notifications()).map((row) => row.listener))).toEqual(
      new Set(['kept', 'removed', 'changed']),
    )
  })
})

describe('versions of the engine', () => {
  test('an engine that a newer release installed is refused and left alone', async ({ database }) => {
    const core = program(database, {})
    await core.install()
    await database.sql('insert into pgpubsub.migration (number) values (1000)')
    const before = await triggers(database)

    await expect(program(database, { order: 'none' }).install()).rejects.toMatchObject({
      code: 'PGPUBSUB_NEWER_ENGINE',
    })
    expect(await triggers(database)).toEqual(before)
  })

  test('listen() without an engine says what to do', async ({ database }) => {
    const core = program(database, {})
    await expect(core.listen()).rejects.toMatchObject({
      code: 'PGPUBSUB_NOT_INSTALLED',
      message: expect.stringContaining('install()'),
    })
    await core.install()
    await core.listen()
  })

  test('after the schema of the models was dropped and made again, as migrate reset does, install puts the triggers back', async ({
    database,
  }) => {
    const core = program(database, {})
    await core.install()
    await database.sql(`insert into media (url) values ('before')`)
    await database.sql(`drop schema public cascade; create schema public;
      create table media (id serial primary key, url text, title text)`)
    expect(await triggers(database)).toEqual([])

    expect((await core.install()).created).toHaveLength(3)
    await database.sql(`insert into media (url) values ('after')`)

    expect((await database.notifications()).map((row) => row.new.url)).toEqual(['before', 'after'])
    const other = new PubSub({ connectionString: database.url, logger: silentLogger })
    await expect(other.install()).resolves.toMatchObject({ dropped: expect.objectContaining({ length: 3 }) })
    await other.close()
  })
})
