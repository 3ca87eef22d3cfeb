import { randomBytes } from 'node:crypto'
import { PubSub, silentLogger } from '@pgpubsub/core'
import pg from 'pg'
import { inject } from 'vitest'
import { databaseUrl } from './support/database-url.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const ignore = () => {}

async function forget(database: TestDatabase): Promise<void> {
  await database.sql('delete from pgpubsub.notification')
}

/** A connection of the test's own, for settings of a session. */
async function session(database: TestDatabase, url = database.url): Promise<pg.Client> {
  const client = new pg.Client(url)
  await client.connect()
  database.closeLater(() => client.end())
  return client
}

describe('what is written', () => {
  for (const bytes of [4_000, 8_000, 1_000_000]) {
    test(`a row of ${bytes} bytes is inserted, updated and deleted, and stored whole`, async ({ database }) => {
      const prisma = database.prisma({ defaults: { wake: 'always' } })
      prisma.media.onPostChange('after', ignore)
      prisma.media.onPreSave('before', ignore)
      prisma.media.onPreDelete('before-delete', ignore)
      await prisma.$pubsub.install()
      const random = () => randomBytes(bytes / 2).toString('hex')
      const [first, second] = [random(), random()]

      const { id } = await prisma.media.create({ data: { url: 'file:///a', title: first } })
      await prisma.media.update({ where: { id }, data: { title: second } })
      await prisma.media.delete({ where: { id } })

      const stored = await database.sql(`select operation, old ->> 'title' as old, new ->> 'title' as new
        from pgpubsub.notification where listener = 'after' order by id`)
      expect(stored).toEqual([
        { operation: 'insert', old: null, new: first },
        { operation: 'update', old: first, new: second },
        { operation: 'delete', old: second, new: null },
      ])
      expect(await database.notifications()).toHaveLength(6)
    })
  }

  test('quotes, backslashes, emoji and line ends arrive as they were written', async ({ database }) => {
    const prisma = database.prisma()
    const seen: (string | null)[] = []
    prisma.media.onPostInsert({ name: `it's "the" \\ listener 🎫`, order: 'none' }, ({ new: media }) => {
      seen.push(media.title)
    })
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    const titles = [
      `it's`,
      `"quoted"`,
      `back\\slash \\' \\u0041`,
      `'; drop table media; --`,
      '🎫\r\n\t\u0001',
      '$do$ $1 %I {}',
      '',
    ]

    await prisma.media.createMany({ data: titles.map((title) => ({ url: `it's`, title })) })
    await database.drained()

    expect(seen.sort()).toEqual(titles.sort())
  })

  // a row that is stored in part becomes jsonb on the way
  test.for([{}, { omit: { xml: true } }] as const)(
    'json that jsonb refuses is decoded as it was (%j)',
    async (part, { database }) => {
      const prisma = database.prisma()
      const seen: unknown[] = []
      prisma.everyType.onPostChange({ name: 'every-type', ...part }, (change) => {
        seen.push([change.operation, change.old?.jsonText, change.new?.jsonText, change.new?.string])
      })
      await prisma.$pubsub.install()
      const write = (json: string) =>
        database.sql(
          `with row as (insert into every_type ("json text", string) values ($1, 'beside it') returning id)
        select from row`,
          [json],
        )

      await write(String.raw`{"nul": "\u0000"}`)
      await write(String.raw`["half \ud800 a pair"]`)
      await write(`${'['.repeat(2_000)}${']'.repeat(2_000)}`)
      await database.sql(`update every_type set "json text" = '"\\u0000 again"' where "json text"::text like '{%'`)
      await database.sql(`delete from every_type where "json text"::text like '%again%'`)
      await prisma.$pubsub.listen()
      await database.drained()

      expect(seen).toHaveLength(5)
      expect(seen.filter((entry) => !JSON.stringify(entry).includes('[[[['))).toEqual([
        ['insert', undefined, { nul: '\0' }, 'beside it'],
        ['insert', undefined, ['half \ud800 a pair'], 'beside it'],
        ['update', { nul: '\0' }, '\0 again', 'beside it'],
        ['delete', '\0 again', undefined, undefined],
      ])
    },
  )
})

describe('a listener before the write', () => {
  test('never cancels or alters an insert, an update, a delete or a truncate', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPreSave('pre-save', ignore)
    prisma.media.onPreInsert('pre-insert', ignore)
    prisma.media.onPreUpdate('pre-update', ignore)
    prisma.media.onPreDelete('pre-delete', ignore)
    await prisma.$pubsub.install()

    const created = await prisma.media.create({ data: { url: 'a', title: 'first' } })
    expect(await prisma.media.findFirst()).toEqual(created)
    const updated = await prisma.media.update({ where: { id: created.id }, data: { title: 'second' } })
    expect(updated).toEqual({ ...created, title: 'second' })
    expect(await prisma.media.findFirst()).toEqual(updated)
    expect(await prisma.media.delete({ where: { id: created.id } })).toEqual(updated)
    expect(await prisma.media.count()).toBe(0)
    expect((await database.notifications()).map(({ listener, operation }) => `${listener}: ${operation}`)).toEqual([
      'pre-insert: insert',
      'pre-save: insert',
      'pre-save: update',
      'pre-update: update',
      'pre-delete: delete',
    ])
  })

  test('a cascade goes through it', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPreDelete('media', ignore)
    prisma.tag.onPreDelete('tag', ignore)
    await prisma.$pubsub.install()
    const { id } = await prisma.user.create({
      data: { email: 'a@x', media: { create: { url: 'a', tags: { create: { label: 'red' } } } } },
    })

    await prisma.user.delete({ where: { id } })

    expect(await prisma.tag.count()).toBe(0)
    expect((await database.notifications()).map(({ listener }) => listener)).toEqual(['media', 'tag'])
  })

  test('it sees what the triggers of others made of the row, and nothing of a write that they cancelled', async ({
    database,
  }) => {
    const prisma = database.prisma()
    prisma.media.onPreSave('pre-save', ignore)
    await prisma.$pubsub.install()
    await database.sql(`create function others() returns trigger language plpgsql as $$ begin
        if new.title = 'cancel' then return null; end if;
        new.title := upper(new.title);
        return new;
      end $$;
      create trigger "zz last" before insert or update on media for each row execute function others()`)

    await database.sql(`insert into media (url, title) values ('a', 'cancel'), ('b', 'kept')`)

    expect(await database.sql('select title from media')).toEqual([{ title: 'KEPT' }])
    expect(await database.notifications()).toMatchObject([{ new: { url: 'b', title: 'KEPT' } }])
  })
})

describe('context that is no context', () => {
  test('is kept as text, and the write succeeds', async ({ database }) => {
    const prisma = database.prisma()
    const seen = new Map<string, unknown>()
    prisma.media.onPostInsert('media', ({ new: media, context }) => void seen.set(media.url, context))
    await prisma.$pubsub.install()
    const client = await session(database)
    const unusable = {
      'no JSON': 'not json',
      'nothing but space': ' ',
      'an array': '[1, 2]',
      'a string': '"text"',
      null: 'null',
      'JSON with a NUL': String.raw`{"a": "\u0000"}`,
      'JSON with half a pair': String.raw`{"a": "\ud83d"}`,
      'quotes and backslashes': `it's \\ "🎫" $$ \\u0000`,
      'JSON too deep to read': '['.repeat(100_000),
      'a huge text': 'x'.repeat(2_000_000),
    }

    for (const [what, context] of Object.entries(unusable)) {
      await client.query('begin')
      await client.query(`select set_config('pgpubsub.notification_context', $1, true)`, [context])
      await client.query('insert into media (url) values ($1)', [what])
      await client.query('commit')
    }
    await client.query(`insert into media (url) values ('none')`)
    await prisma.$pubsub.listen()
    await database.drained()

    const kept = Object.entries(unusable).map(([what, context]) => [what, { '$pgpubsub:text': context }])
    expect(Object.fromEntries(seen)).toEqual({ ...Object.fromEntries(kept), none: {} })
  })

  test('a huge object is a context as any other', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostInsert('media', ignore)
    await prisma.$pubsub.install()
    const client = await session(database)
    const context = { text: 'x'.repeat(2_000_000), list: Array.from({ length: 10_000 }, (_, index) => index) }

    await client.query('begin')
    await client.query(`set local pgpubsub.notification_context = ${pg.escapeLiteral(JSON.stringify(context))}`)
    await client.query(`insert into media (url) values ('a')`)
    await client.query('commit')

    expect((await database.notifications())[0].context).toEqual(context)
  })
})

describe('the state of the server and the session', () => {
  test('a listener that nobody runs stores its notifications, and costs the write nothing but that', async ({
    database,
  }) => {
    const prisma = database.prisma()
    prisma.media.onPostInsert('nobody', ignore)
    await prisma.$pubsub.install()

    await prisma.media.createMany({ data: Array.from({ length: 1_000 }, () => ({ url: 'a' })) })

    expect(await prisma.media.count()).toBe(1_000)
    expect(await database.notifications()).toHaveLength(1_000)
  })

  for (const lock of ['pg_advisory_lock', 'pg_advisory_lock_shared']) {
    test(`another session that holds the listener's lock by ${lock} stops no write`, async ({ database }) => {
      const prisma = database.prisma()
      prisma.media.onPostInsert('media', ignore)
      await prisma.$pubsub.install()
      const holder = await session(database)
      await holder.query(`select ${lock}(pgpubsub.asleep_key('media'))`)
      const ear = await session(database)
      const heard = vi.fn()
      ear.on('notification', ({ payload }) => heard(payload))
      await ear.query('listen pgpubsub')
      const writer = await session(database)
      await writer.query(`set statement_timeout = '10s'`)

      await writer.query(`insert into media (url) values ('a')`)

      await vi.waitFor(() => expect(heard).toHaveBeenCalledWith('media'))
      expect(await database.notifications()).toHaveLength(1)
      const held = await writer.query(
        `select from pg_locks where locktype = 'advisory' and pid = pg_backend_pid() and mode = 'ExclusiveLock'`,
      )
      expect(held.rowCount).toBe(0)
    })
  }

  const row = `insert into public.every_type (id, float, "real", datetime, timestamptz, "time", timetz, date, bytes, "decimal",
      timestamptzs, "bytes list", "json")
    values (1, 0.1::float8 + 0.2, 1.1::float4 / 3, '2025-03-04 05:06:07.089', '2025-03-04 05:06:07.089+00', '05:06', '05:06+02',
      '2025-03-04', decode('00ff5c27', 'hex'), 12345678901234567890.123456789, '{"2025-03-04 05:06:07+00"}',
      array[decode('00ff', 'hex')], '{"a": 1.10}')`
  const settings = [
    `set datestyle = 'German, DMY'`,
    `set datestyle = 'SQL, MDY'`,
    `set timezone = 'Asia/Kathmandu'`,
    `set bytea_output = 'escape'`,
    `set extra_float_digits = -10`,
    `set extra_float_digits = 3`,
    `set intervalstyle = 'iso_8601'`,
    `set default_transaction_isolation = 'serializable'`,
    `set standard_conforming_strings = off; set escape_string_warning = off; set backslash_quote = on`,
    `set search_path = ''`,
    `set row_security = off; set check_function_bodies = off`,
    `set transform_null_equals = on; set array_nulls = off; set quote_all_identifiers = on`,
    `set plpgsql.variable_conflict = 'use_column'; set jit = on; set jit_above_cost = 0`,
  ]
  test('settings of the session change nothing of what is stored', async ({ database }) => {
    const prisma = database.prisma()
    prisma.everyType.onPostChange('every-type', ignore)
    await prisma.$pubsub.install()
    const storedUnder = async (setting: string) => {
      const client = await session(database)
      await client.query(setting)
      await client.query(row)
      await client.query('delete from public.every_type')
      const stored = await database.sql(
        `select operation, key::text, coalesce(old, new)::text as row from pgpubsub.notification order by id`,
      )
      await forget(database)
      return stored
    }

    const plain = await storedUnder(`set timezone = 'UTC'`)
    expect(plain.map(({ operation }) => operation)).toEqual(['insert', 'delete'])
    for (const setting of settings) expect(await storedUnder(setting), setting).toEqual(plain)
  })

  test('changes of one row have one key, whatever the settings of the sessions that wrote them', async ({
    database,
  }) => {
    const core = database.core()
    await database.sql(`create table odd (at timestamptz, bytes bytea, float float8, span tstzrange, length interval,
      value int, primary key (at, bytes, float, span, length))`)
    core.onChange({ name: 'odd', table: 'odd' }, ignore)
    await core.install()
    await database.sql(`insert into odd values ('2025-01-01 00:00+00', '\\x00ff', 0.1::float8 + 0.2,
      '[2025-01-01 00:00+00, 2025-02-01 00:00+00)', '1 day 02:03', 1)`)

    for (const setting of settings) {
      const client = await session(database)
      await client.query(setting)
      await client.query('update public.odd set value = value + 1')
    }

    expect(
      await database.sql('select count(*)::int as stored, count(distinct key)::int as keys from pgpubsub.notification'),
    ).toEqual([{ stored: settings.length + 1, keys: 1 }])
  })

  test('a search_path full of impostors is not looked at', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostChange({ name: 'media', omit: { url: true }, columns: ['title'], wake: 'always' }, ignore)
    prisma.media.onPostChange('whole', ignore)
    await prisma.$pubsub.install()
    const impostors = `
      create table notification (like pgpubsub.notification);
      create function to_jsonb(anyelement) returns jsonb language plpgsql as $$ begin raise 'to_jsonb of an impostor'; end $$;
      create function row_to_json(record) returns json language plpgsql as $$ begin raise 'row_to_json of an impostor'; end $$;
      create function concat(int) returns text language plpgsql as $$ begin raise 'concat of an impostor'; end $$;
      create function hashtextextended(text, bigint) returns bigint language plpgsql as $$ begin raise 'hash of an impostor'; end $$;
      create function lower(text) returns text language plpgsql as $$ begin raise 'lower of an impostor'; end $$;
      create function pg_notify(text, text) returns void language plpgsql as $$ begin raise 'pg_notify of an impostor'; end $$;
      create function pg_try_advisory_lock(bigint) returns bool language plpgsql as $$ begin raise 'lock of an impostor'; end $$;
      create function current_setting(text, boolean) returns text language plpgsql as $$ begin raise 'setting of an impostor'; end $$;
      create function record_differs(record, record) returns bool language plpgsql as $$ begin raise 'operator of an impostor'; end $$;
      create function text_joined(text, text) returns text language plpgsql as $$ begin raise '|| of an impostor'; end $$;
      create operator || (function = text_joined, leftarg = text, rightarg = text);
      create function text_differs(text, text) returns bool language plpgsql as $$ begin raise '<> of an impostor'; end $$;
      create operator <> (function = text_differs, leftarg = text, rightarg = text);
      create function text_equal(text, text) returns bool language plpgsql as $$ begin raise '= of an impostor'; end $$;
      create operator = (function = text_equal, leftarg = text, rightarg = text);`
    const client = await session(database)
    await client.query(`create schema hostile; set search_path = hostile, pg_catalog, public; ${impostors}`)
    await client.query(`create temporary table notification (like pgpubsub.notification)`)
    await client.query(`set search_path = pg_temp, hostile, pg_catalog`)

    await client.query(`insert into public.media (url, title) values ('a', 'b')`)
    await client.query(`update public.media set title = 'c', url = 'd'`)

    const stored = await database.notifications()
    expect(stored.filter(({ listener }) => listener === 'media')).toMatchObject([
      { operation: 'insert' },
      { operation: 'update', changed: expect.arrayContaining(['title', 'url']) },
    ])
    expect(stored.filter(({ listener }) => listener === 'whole')).toMatchObject([
      { operation: 'insert', new: { title: 'b' } },
      { operation: 'update', new: { title: 'c' } },
    ])
    expect((await client.query('select from hostile.notification')).rowCount).toBe(0)
    expect((await client.query('select from pg_temp.notification')).rowCount).toBe(0)
  })

  test('serializable transactions that write at the same time do not fail each other by it', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostChange('media', ignore)
    await prisma.$pubsub.install()
    const [a, b] = [await session(database), await session(database)]
    for (const client of [a, b]) await client.query('begin isolation level serializable')
    for (const client of [a, b, a, b]) await client.query(`insert into media (url) values ('a')`)
    for (const client of [a, b]) await client.query('commit')

    expect(await database.notifications()).toHaveLength(4)
  })

  test('in a database whose default is serializable and whose language is Turkish, install, write and handle work', async ({
    database,
  }) => {
    const name = `turkish_${randomBytes(6).toString('hex')}`
    // a database's own language by ICU came with 15
    const language = inject('postgresMajor') >= 15 ? `locale_provider icu icu_locale 'tr'` : ''
    await database.sql(`create database ${name} template template0 encoding utf8 ${language} locale 'C'`)
    await database.sql(`alter database ${name} set default_transaction_isolation = 'serializable'`)
    const url = databaseUrl(inject('postgresUrl'), name)
    const core = new PubSub({ connectionString: url, logger: silentLogger })
    database.closeLater(() => database.sql(`drop database if exists ${name} with (force)`))
    const other = await session(database, url)
    await other.query('create table item (id int primary key, "TITLE" text)')
    const operations: string[] = []
    core.onChange(
      { name: 'item', table: 'item', columns: ['TITLE'] },
      ({ operation }) => void operations.push(operation),
    )
    await core.install()
    await core.listen()

    await other.query(`insert into item values (1, 'I')`)
    await other.query(`update item set "TITLE" = 'ı'`)
    await other.query('delete from item')

    await vi.waitFor(() => expect(operations).toEqual(['insert', 'update', 'delete']), { timeout: 10_000 })
    await core.close()
    await other.end()
  })
})
