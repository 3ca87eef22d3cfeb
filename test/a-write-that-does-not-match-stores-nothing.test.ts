import type { TableFilter } from '@pgpubsub/core'
import { createItems, onItem } from './support/items.ts'
import { describe, expect, type TestDatabase, test } from './support/test.ts'

const ignore = () => {}

const operationsStored = async (database: TestDatabase) =>
  (await database.notifications()).map(({ listener, operation }) => `${listener} ${operation}`)

describe('a filter on a model', () => {
  test('asks the rows that an operation has, and an operation that has none of those named is not listened to', async ({
    database,
  }) => {
    const prisma = database.prisma()
    const clean = { status: 'Clean' } as const
    const others = { status: { not: 'Clean' } } as const
    prisma.media.onPostChange({ name: 'new', when: { new: clean } }, ignore)
    prisma.media.onPostChange({ name: 'old', when: { old: clean } }, ignore)
    prisma.media.onPostChange({ name: 'became', when: { new: clean, old: others } }, ignore)
    await prisma.$pubsub.install()
    const triggers = await database.sql(
      `select tgname as name from pg_trigger where tgname like '~pgpubsub%' order by 1`,
    )
    expect(triggers.map(({ name }) => name.slice('~pgpubsub '.length))).toEqual([
      ...['delete became', 'delete old', 'insert became', 'insert new'],
      ...['update became', 'update new', 'update old'],
    ])

    const { id } = await prisma.media.create({ data: { url: 'a', status: 'Clean' } })
    expect(await operationsStored(database)).toEqual(['became insert', 'new insert'])
    await database.sql('delete from pgpubsub.notification')
    await prisma.media.update({ where: { id }, data: { status: 'Pending' } })
    expect(await operationsStored(database)).toEqual(['old update'])
    await database.sql('delete from pgpubsub.notification')
    await prisma.media.update({ where: { id }, data: { status: 'Clean' } })
    expect(await operationsStored(database)).toEqual(['became update', 'new update'])
    await database.sql('delete from pgpubsub.notification')
    await prisma.media.update({ where: { id }, data: { status: 'Infected' } })
    await prisma.media.delete({ where: { id } })
    expect(await operationsStored(database)).toEqual(['old update', 'became delete'])
  })

  test.for(['row', 'statement'] as const)('and columns hold both, at the level %s', async (level, { database }) => {
    const prisma = database.prisma()
    prisma.media.onPostSave({ name: 'a', level, columns: ['title'], when: { new: { ownerId: null } } }, ignore)
    await prisma.$pubsub.install()
    const owner = await prisma.user.create({ data: { email: 'a' } })
    const free = await prisma.media.create({ data: { url: 'free' } })
    await prisma.media.create({ data: { url: 'owned', ownerId: owner.id } })
    await prisma.media.updateMany({ data: { virus: 'none' } })
    await prisma.media.updateMany({ data: { title: 'new' } })
    await prisma.media.updateMany({ data: { title: 'new' } })
    const stored = await database.notifications()
    expect(stored.map(({ operation, new: row }) => [operation, row.id, row.title])).toEqual([
      ['insert', free.id, null],
      ['update', free.id, 'new'],
    ])
  })

  test('before the write sees what other triggers have made of the row', async ({ database }) => {
    await database.sql(`create function clean() returns trigger language plpgsql as 'begin new.title := ''clean''; return new; end';
      create trigger clean before insert on media for each row execute function clean()`)
    const prisma = database.prisma()
    prisma.media.onPreInsert({ name: 'dirty', when: { new: { title: 'dirty' } } }, ignore)
    prisma.media.onPreInsert({ name: 'clean', when: { new: { title: 'clean' } } }, ignore)
    await prisma.$pubsub.install()
    await prisma.media.create({ data: { url: 'a', title: 'dirty' } })
    expect(await operationsStored(database)).toEqual(['clean insert'])
  })

  test('replaces its triggers when it is another one, and only then', async ({ database }) => {
    const installed = async (title: string) => {
      const prisma = database.prisma()
      prisma.media.onPostInsert({ name: 'a', when: { new: { title } } }, ignore)
      const { created, replaced } = await prisma.$pubsub.install()
      return [created.length, replaced.length]
    }
    expect(await installed('a')).toEqual([1, 0])
    expect(await installed('a')).toEqual([0, 0])
    expect(await installed('b')).toEqual([0, 1])
    await database.prisma().media.createMany({
      data: [
        { url: 'x', title: 'a' },
        { url: 'y', title: 'b' },
      ],
    })
    expect((await database.notifications()).map(({ new: row }) => row.url)).toEqual(['y'])
  })

  test('is installed by sql() as well, whatever stands in its texts', async ({ database }) => {
    const title = `it's "quoted" \\ $do$ $capture$; drop table media -- 🎫`
    const prisma = database.prisma()
    for (const level of ['row', 'statement'] as const) {
      prisma.media.onPostInsert({ name: level, level, when: { new: { title: { in: [title] } } } }, ignore)
    }
    await database.sql(await prisma.$pubsub.sql())
    expect((await prisma.$pubsub.install()).created).toEqual([])
    await prisma.media.createMany({
      data: [
        { url: 'x', title },
        { url: 'y', title: 'b' },
      ],
    })
    const stored = await database.notifications()
    expect(stored.map(({ listener, new: row }) => [listener, row.title])).toEqual([
      ['row', title],
      ['statement', title],
    ])
  })
})

describe('a filter on a table', () => {
  const stores = async (database: TestDatabase, when: TableFilter) => {
    const engine = database.core()
    onItem(engine, { operations: ['insert'], when: { new: when }, wake: 'never' }, ignore)
    await engine.install()
    await database.sql('truncate item; insert into item select * from sample')
    const rows = await database.sql(`delete from pgpubsub.notification returning new ->> 'id' as id`)
    return rows
      .map(({ id }) => id)
      .sort()
      .join('')
  }

  test('knows columns by their names, and their types from the database', async ({ database }) => {
    await database.sql(
      `create domain email as text check (value like '%@%'); create type color as enum ('red', 'it''s')`,
    )
    const columns = `id int primary key, "The E-mail" email, color color, tags text[], at timestamptz, part numeric(5, 2), data bytea,
      flag boolean, big bigint, ranged int4range, parts bytea[]`
    await createItems(database, columns)
    await database.sql(`create table sample (like item);
      insert into sample values
        (1, 'a@x', 'red', '{a,b}', '2024-01-01 00:00Z', 1.5, '\\x00ff', true, 9007199254740993, '[1,5)', '{"\\\\x00"}'),
        (2, 'B@x', 'it''s', '{}', '2024-01-02 00:00Z', 2, '\\x', false, 9007199254740992, '[2,3)', '{}'),
        (3, null, null, null, null, null, null, null, null, null, null)`)
    const expected: [TableFilter, string][] = [
      [{ 'The E-mail': 'a@x' }, '1'],
      [{ 'The E-mail': { endsWith: '@X', mode: 'insensitive' } }, '12'],
      [{ 'The E-mail': null }, '3'],
      [{ color: `it's` }, '2'],
      [{ color: { notIn: ['red'] } }, '2'],
      [{ tags: { has: 'a' } }, '1'],
      [{ tags: { isEmpty: true } }, '2'],
      [{ tags: { equals: ['a', 'b'] } }, '1'],
      [{ at: { gt: new Date('2024-01-01T12:00:00Z') } }, '2'],
      [{ part: { lte: 1.5 } }, '1'],
      [{ data: new Uint8Array([0, 255]) }, '1'],
      [{ flag: { not: true } }, '2'],
      [{ big: 9007199254740993n }, '1'],
      [{ ranged: '[1,5)' }, '1'],
      [{ parts: { has: new Uint8Array([0]) } }, '1'],
      [{ OR: [{ id: 3 }, { flag: true }] }, '13'],
      [{}, '123'],
    ]
    for (const [when, ids] of expected) expect(await stores(database, when), JSON.stringify(when, String)).toBe(ids)
  })

  const refused: [columns: string, when: TableFilter, message: RegExp][] = [
    ['value int', { valeu: 1 }, /names the column "valeu"/],
    [
      'value int',
      { value: 'many' },
      /filter \(when\) of listener "items" .* invalid input syntax for type integer: "many"/,
    ],
    ['value smallint', { value: { in: [1, 100_000] } }, /"100000" is out of range for type smallint/],
    ['value xml', { value: 'x' }, /operator does not exist: xml/],
    ['value xml[]', { value: { has: 'x' } }, /could not identify an equality operator for type xml/],
    ['value xml[]', { value: { equals: ['x'] } }, /could not identify an equality operator for type xml/],
    ['value json', { value: '{}' }, /operator does not exist: json/],
    ['value int', { value: { has: 1 } }, /invalid input syntax for type integer: "\{"1"\}"/],
    ['value text collate loose', { value: { contains: 'x' } }, /column "value" .* collation is not deterministic/],
  ]

  test.for(refused)(
    'of %s is refused by the installation where PostgreSQL cannot ask it: %o',
    async ([columns, when, message], { database }) => {
      await database.sql(`create collation loose (provider = icu, locale = 'und', deterministic = false)`)
      await createItems(database, `id int primary key, ${columns}`)
      const engine = database.core()
      onItem(engine, { when: { new: when } }, ignore)
      await expect(engine.install()).rejects.toMatchObject({
        code: expect.stringMatching(/^PGPUBSUB_/),
        message: expect.stringMatching(message),
      })
      await expect(engine.sql()).rejects.toThrow(message)
      await database.sql('insert into item values (1)')
    },
  )

  test('before the write cannot ask for what is computed later', async ({ database }) => {
    await createItems(database, 'id int primary key, value int generated always as (id * 2) stored')
    const engine = database.core()
    onItem(engine, { timing: 'before', when: { new: { value: 2 } } }, ignore)
    await expect(engine.install()).rejects.toMatchObject({ message: expect.stringMatching(/generated column "value"/) })
  })

  test('of a statement stores every row once its column has gone, instead of failing the write', async ({
    database,
  }) => {
    await createItems(database)
    const engine = database.core()
    onItem(engine, { level: 'statement', when: { new: { value: 1 }, old: { value: 1 } } }, ignore)
    await engine.install()
    await database.sql('insert into item values (1, 1), (2, 2)')
    expect(await operationsStored(database)).toEqual(['items insert'])
    await database.sql('alter table item rename value to amount')
    await database.sql('insert into item values (3, 1), (4, 2)')
    await database.sql('update item set amount = 5 where id = 4')
    await database.sql('delete from item where id = 4')
    expect((await operationsStored(database)).slice(1)).toEqual([
      ...['items insert', 'items insert', 'items update', 'items delete'],
    ])
  })

  test('is asked with the rights of whoever writes, and on their path, and needs none of them', async ({
    database,
  }) => {
    await createItems(database, 'id int primary key, value text')
    await database.sql(`create schema trap; create function trap.lower(text) returns text language plpgsql as $$ begin raise 'trap'; end $$;
      create function trap.same(text, text) returns boolean language plpgsql as $$ begin raise 'trap'; end $$;
      create operator trap.= (leftarg = text, rightarg = text, function = trap.same)`)
    const engine = database.core()
    const filter: TableFilter = { value: { in: ['A'], mode: 'insensitive', not: 'x', contains: 'a' } }
    for (const level of ['row', 'statement'] as const)
      onItem(engine, { name: level, level, when: { new: filter } }, ignore)
    const sql = await engine.sql()
    const role = `writer_${Math.random().toString(36).slice(2)}`
    await database.sql(
      `set search_path = trap, pg_catalog, public; ${sql}; reset search_path; create role ${role}; grant insert on item to ${role}`,
    )
    database.closeLater(() => database.sql(`drop owned by ${role}; drop role ${role}`))
    await database.sql(
      `begin; set local search_path = trap, pg_catalog, public; set local role ${role}; insert into item values (1, 'a'), (2, 'b'); commit`,
    )
    expect((await operationsStored(database)).sort()).toEqual(['row insert', 'statement insert'])
  })
})
