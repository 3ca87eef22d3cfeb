import fc from 'fast-check'
import pg from 'pg'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const ignore = () => {}

/** Cut to what PostgreSQL takes as a name: 63 bytes, no NUL. */
function asName(text: string): string {
  let name = ''
  for (const character of text.replaceAll('\0', '')) {
    if (Buffer.byteLength(name + character) > 63) break
    name += character
  }
  return name
}

const nasty = [
  `it's`,
  '"quoted"',
  'back\\slash\\',
  '$do$',
  '$function$ language sql; drop table x',
  'CAPITALS and spaces',
  '🎫 émoji — «why»',
  'select',
  'NULL',
  '{a,b}',
  '--',
  '/* */ ; %I %s $1',
  'x'.repeat(63),
  '🎫'.repeat(15),
  'line\r\nend\t',
]
const anyName = fc
  .oneof(fc.constantFrom(...nasty), fc.string({ unit: 'grapheme', minLength: 1, maxLength: 63 }))
  .map(asName)
  .filter((name) => name.trim() !== '')
const schemaName = anyName.filter((name) => !name.startsWith('pg_') && name !== 'public')
const columnName = anyName.filter((name) => !/^(ctid|xmin|xmax|cmin|cmax|tableoid)$/.test(name))

const q = (...path: string[]) => path.map((name) => pg.escapeIdentifier(name)).join('.')

test('schemas, tables, columns and listeners may have any name', async ({ database }) => {
  const names = fc.record({
    engine: schemaName,
    schema: schemaName,
    table: anyName,
    columns: fc.uniqueArray(columnName, { minLength: 3, maxLength: 3 }),
    listeners: fc.uniqueArray(anyName, { minLength: 2, maxLength: 2 }),
  })
  const property = fc.asyncProperty(
    names.filter(({ engine, schema }) => engine !== schema),
    async ({ engine, schema, table, columns, listeners }) => {
      const [key, watched, secret] = columns as [string, string, string]
      const [all, part] = listeners as [string, string]
      await database.sql(`create schema ${q(schema)};
        create table ${q(schema, table)} (${q(key)} int primary key, ${q(watched)} text, ${q(secret)} text)`)
      const core = database.core({ schema: engine })
      const handled: unknown[] = []
      core.onChange({ name: all, schema, table }, ({ operation, old, new: now, changed }) => {
        handled.push([operation, old, now, operation === 'update' ? changed : null])
      })
      core.onChange(
        { name: part, schema, table, columns: [watched], omit: [secret], operations: ['update'] },
        (change) => {
          handled.push([part, change.old, change.new, change.changed])
        },
      )

      const first = await core.install()
      expect(first.created).toHaveLength(4)
      const nothing = { engine: { from: first.engine.to, to: first.engine.to }, created: [], replaced: [], dropped: [] }
      expect(await core.install()).toEqual(nothing)
      const sql = await core.sql()
      await database.sql(sql)
      await database.sql(sql)
      expect(await core.install()).toEqual(nothing)

      await database.sql(`insert into ${q(schema, table)} values (1, 'a', 's')`)
      await database.sql(`update ${q(schema, table)} set ${q(watched)} = 'b'`)
      await database.sql(`delete from ${q(schema, table)}`)
      expect(new Set((await database.notifications(engine)).map((row) => row.key)).size).toBe(1)
      await core.listen()
      await database.drained(engine)
      const row = (value: string) => ({ [key]: 1, [watched]: value, [secret]: 's' })
      expect(handled).toHaveLength(4)
      expect(handled).toEqual(
        expect.arrayContaining([
          ['insert', null, row('a'), null],
          ['update', row('a'), row('b'), [watched]],
          ['delete', row('b'), null, null],
          [part, { [key]: 1, [watched]: 'a' }, { [key]: 1, [watched]: 'b' }, [watched]],
        ]),
      )

      await core.close()
      await database.sql(`drop schema ${q(schema)} cascade; drop schema ${q(engine)} cascade`)
    },
  )
  const everywhere = (name: string) => ({
    engine: name,
    schema: asName(`s ${name}`),
    table: name,
    columns: [name, asName(`2 ${name}`), asName(`3 ${name}`)],
    listeners: [name, asName(`p ${name}`)],
  })
  await fc.assert(property, { numRuns: 24, examples: nasty.map((name) => [everywhere(name)]), endOnFailure: true })
})

test('names of listeners and schemas that PostgreSQL cannot hold are refused', async ({ database }) => {
  const core = database.core()
  for (const name of ['', ' ', 'x'.repeat(64), '🎫'.repeat(16), 'a\0b', 'half \ud83d']) {
    expect(() => core.onChange({ name, table: 'media' }, ignore), JSON.stringify(name)).toThrow(
      expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION' }),
    )
  }
  for (const schema of ['', 'x'.repeat(64), 'a\0b', 'half \ud83d']) {
    expect(() => database.core({ schema }), JSON.stringify(schema)).toThrow(
      expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION' }),
    )
  }
})

test('two engines in one database may have listeners of one name on one table', async ({ database }) => {
  const [one, two] = [database.core({ schema: 'engine one' }), database.core({ schema: 'engine two' })]
  for (const core of [one, two]) {
    core.onChange({ name: 'same', table: 'media' }, ignore)
    core.onChange({ name: 'same, and so long that a name of its own must be made', table: 'media' }, ignore)
    await core.install()
  }
  expect((await one.install()).created).toEqual([])

  await database.sql(`insert into media (url) values ('a')`)

  expect(await database.notifications('engine one')).toHaveLength(2)
  expect(await database.notifications('engine two')).toHaveLength(2)
})

describe('keys', () => {
  /** Which of the stored changes have the same key: the changes' titles, grouped. */
  async function groups(database: TestDatabase, title: string): Promise<string[][]> {
    const rows = await database.sql(
      `select array_agg(coalesce(new, old) ->> $1 order by id) as titles from pgpubsub.notification group by key`,
      [title],
    )
    return rows.map((row) => row.titles).sort()
  }

  test('of a composite key, every column counts, and its place', async ({ database }) => {
    const prisma = database.prisma()
    prisma.ticket.onPostChange('ticket', ignore)
    await prisma.$pubsub.install()
    const tickets = [
      { region: 'north', number: 1n },
      { region: 'north', number: 2n },
      { region: 'south', number: 1n },
      { region: '', number: 2n ** 62n },
      { region: 'north1', number: -1n },
      { region: '1', number: 2n },
      { region: '2', number: 1n },
    ]
    for (const ticket of tickets) {
      const note = `${ticket.region} ${ticket.number}`
      await prisma.ticket.create({ data: { ...ticket, note } })
      await prisma.ticket.update({ where: { region_number: ticket }, data: { note: `${note}!` } })
    }

    const expected = tickets.map(({ region, number }) => [`${region} ${number}`, `${region} ${number}!`])
    expect(await groups(database, 'The Note — «why»')).toEqual(expected.sort())
  })

  test('without a primary key, a unique index over columns that cannot be null is the key', async ({ database }) => {
    const core = database.core()
    await database.sql(`create table keyless (maybe int unique, part int, word text not null, code int not null, title text);
      create unique index on keyless (code) where part > 1;
      create unique index on keyless (lower(word || code));
      create unique index on keyless (code, maybe);
      create unique index on keyless (word, code) include (title)`)
    core.onChange({ name: 'keyless', table: 'keyless' }, ignore)
    await core.install()

    await database.sql(`insert into keyless values (1, 1, 'a', 1, 'a1'), (2, 1, 'a', 2, 'a2'), (3, 1, 'b', 1, 'b1')`)
    await database.sql(`update keyless set title = title || '!', maybe = maybe + 10`)
    await database.sql(`update keyless set title = title || '?'`)

    expect(await groups(database, 'title')).toEqual(
      ['a1', 'a2', 'b1'].map((title) => [title, `${title}!`, `${title}!?`]),
    )
  })

  test('the columns that a primary key only includes are not of the key', async ({ database }) => {
    const core = database.core()
    await database.sql('create table included (title text, id int, primary key (id) include (title))')
    core.onChange({ name: 'included', table: 'included', keysOnly: true }, ignore)
    core.onChange({ name: 'whole', table: 'included' }, ignore)
    await core.install()

    await database.sql(
      `insert into included values ('a', 1); update included set title = 'b'; update included set title = 'c'`,
    )

    const stored = await database.notifications()
    expect(new Set(stored.map((row) => row.key)).size).toBe(1)
    expect(stored.filter((row) => row.listener === 'included').map((row) => row.new)).toEqual(Array(3).fill({ id: 1 }))
  })

  test('a table without any key is one row, and an unordered listener has no keys', async ({ database }) => {
    const core = database.core()
    await database.sql('create table heap (title text)')
    core.onChange({ name: 'ordered', table: 'heap' }, ignore)
    core.onChange({ name: 'unordered', table: 'heap', order: 'none' }, ignore)
    await core.install()

    await database.sql(`insert into heap values ('a'), ('a'), ('b'), (null); delete from heap where title = 'a'`)

    const stored = await database.notifications()
    expect(stored).toHaveLength(12)
    expect(new Set(stored.filter((row) => row.listener === 'ordered').map((row) => row.key)).size).toBe(1)
    expect(stored.filter((row) => row.listener === 'unordered').map((row) => row.key)).toEqual(Array(6).fill(null))
  })

  test('keysOnly needs a key', async ({ database }) => {
    const core = database.core()
    await database.sql('create table heap (title text)')
    core.onChange({ name: 'keys', table: 'heap', keysOnly: true }, ignore)

    await expect(core.install()).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  })
})

describe('kinds of tables', () => {
  test('rows of every partition are captured, also of partitions and triggers that came later', async ({
    database,
  }) => {
    const prisma = database.prisma()
    prisma.measurement.onPostChange('measurement', ignore)
    prisma.measurement.onPreSave('before', ignore)
    expect((await prisma.$pubsub.install()).created).toHaveLength(5)
    expect((await prisma.$pubsub.install()).created).toEqual([])
    await database.sql(`alter table measurement detach partition measurement_2025;
      create table "2024" (dropped int, value int not null, id int not null, day date not null);
      alter table "2024" drop dropped;
      alter table measurement attach partition "2024" for values from ('2024-01-01') to ('2025-01-01');
      alter table measurement attach partition measurement_2025 for values from ('2025-01-01') to ('2026-01-01')`)
    const captured = async () =>
      (
        await database.sql(`with gone as (delete from pgpubsub.notification returning *)
          select operation, old ->> 'value' as old, new ->> 'value' as new, new ->> 'day' as day from gone
          where listener = 'measurement' order by id`)
      ).map(({ operation, old, new: now, day }) => [operation, old, now, day])

    await database.sql(
      `insert into measurement (id, day, value) values (1, '2024-02-02', 1), (1, '2025-02-02', 2), (1, '2030-02-02', 3)`,
    )
    expect(await captured()).toEqual([
      ['insert', null, '1', '2024-02-02'],
      ['insert', null, '2', '2025-02-02'],
      ['insert', null, '3', '2030-02-02'],
    ])
    await database.sql(`update measurement set value = value * 10; update measurement set value = value`)
    expect((await captured()).map(([operation, old, now]) => [operation, old, now]).sort()).toEqual([
      ['update', '1', '10'],
      ['update', '2', '20'],
      ['update', '3', '30'],
    ])
    await database.sql(
      `insert into measurement_2025 (id, day, value) values (2, '2025-05-05', 4); delete from measurement_2025`,
    )
    expect((await captured()).length).toBe(3)

    // what PostgreSQL makes of an update that moves a row to another partition
    await database.sql(`update measurement set day = '2031-01-01' where day = '2024-02-02'`)
    expect(await captured()).toEqual([
      ['delete', '10', null, null],
      ['insert', null, '10', '2031-01-01'],
    ])
    await database.sql('delete from measurement')
    expect((await captured()).length).toBe(2)
  })

  test('a trigger that is disabled on one partition alone is enabled again', async ({ database }) => {
    const prisma = database.prisma()
    prisma.measurement.onPostInsert('measurement', ignore)
    await prisma.$pubsub.install()
    await database.sql('alter table measurement_2025 disable trigger all')

    expect((await prisma.$pubsub.install()).replaced).toHaveLength(1)
    await database.sql(`insert into measurement (day, value) values ('2025-02-02', 2)`)

    expect(await database.notifications()).toHaveLength(1)
    expect((await prisma.$pubsub.install()).replaced).toEqual([])
  })

  test('rows of tables that inherit are captured as rows of the table', async ({ database }) => {
    const core = database.core()
    await database.sql(`create table parent (id int primary key, title text);
      create table child (extra text) inherits (parent);
      create table grandchild () inherits (child);
      create schema "other place";
      create table "other place".child () inherits (parent)`)
    core.onChange({ name: 'family', table: 'parent', columns: ['title'] }, ignore)
    expect((await core.install()).created).toHaveLength(12)
    expect((await core.install()).created).toEqual([])

    await database.sql(`insert into parent values (1, 'a'); insert into child values (2, 'b', 'more');
      insert into grandchild values (3, 'c', 'more'); insert into "other place".child values (4, 'd')`)
    await database.sql(`update parent set title = title || '!'; update child set extra = 'unwatched'`)
    await database.sql('delete from parent')

    const stored = await database.notifications()
    expect(stored.map((row) => row.operation)).toEqual([
      ...Array(4).fill('insert'),
      ...Array(4).fill('update'),
      ...Array(4).fill('delete'),
    ])
    expect(stored[1].new).toEqual({ id: 2, title: 'b', extra: 'more' })
    await database.sql('alter table grandchild no inherit child')
    expect((await core.install()).dropped).toHaveLength(3)
  })

  test('generated and identity columns have their values', async ({ database }) => {
    const core = database.core()
    await database.sql(`create table product (id int generated always as identity primary key, net int, tax int,
      gross int generated always as (net + tax) stored)`)
    core.onChange({ name: 'after', table: 'product', columns: ['gross'] }, ignore)
    core.onChange({ name: 'before', table: 'product', timing: 'before' }, ignore)
    await core.install()

    await database.sql('insert into product (net, tax) values (10, 2)')
    await database.sql('update product set net = 11, tax = 1')
    await database.sql('update product set net = 20')

    const stored = async (listener: string) =>
      (await database.notifications()).filter((row) => row.listener === listener).map((row) => row.new)
    expect(await stored('after')).toEqual([
      { id: 1, net: 10, tax: 2, gross: 12 },
      { id: 1, net: 20, tax: 1, gross: 21 },
    ])
    expect(await stored('before')).toMatchObject([
      { id: 1, net: 10 },
      { id: 1, net: 11, tax: 1 },
      { id: 1, net: 20 },
    ])
    const wrong = database.core()
    wrong.onChange({ name: 'wrong', table: 'product', timing: 'before', columns: ['gross'] }, ignore)
    await expect(wrong.install()).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  })

  test('what is no table is refused by name', async ({ database }) => {
    await database.sql(`create view "a view" as select * from media;
      create materialized view materialized as select * from media;
      create sequence numbers`)
    for (const [table, kind] of [
      ['a view', 'a view'],
      ['materialized', 'a materialized view'],
      ['numbers', 'a sequence'],
    ] as const) {
      const core = database.core()
      core.onChange({ name: 'refused', table }, ignore)
      for (const refused of [() => core.install(), () => core.sql()]) {
        await expect(refused()).rejects.toMatchObject({
          code: 'PGPUBSUB_NOT_A_TABLE',
          message: expect.stringContaining(kind),
        })
      }
    }
    expect(await database.sql(`select from pg_namespace where nspname = 'pgpubsub'`)).toEqual([])
  })

  test('tables and columns that the database does not have are refused by name', async ({ database }) => {
    const install = async (options: {
      table: string
      schema?: string
      columns?: string[]
      omit?: string[]
      select?: string[]
    }) => {
      const core = database.core()
      core.onChange({ name: 'refused', ...options }, ignore)
      await core.install()
    }

    for (const place of [{ table: 'Media' }, { table: 'media', schema: 'nowhere' }, { table: 'media"' }]) {
      await expect(install(place)).rejects.toMatchObject({ code: 'PGPUBSUB_UNKNOWN_TABLE' })
    }
    for (const option of ['columns', 'omit', 'select']) {
      await expect(install({ table: 'media', [option]: ['title', 'Title'] })).rejects.toMatchObject({
        code: 'PGPUBSUB_UNKNOWN_COLUMN',
        message: expect.stringContaining('"Title"'),
      })
      await expect(install({ table: 'media', [option]: ['ctid'] })).rejects.toMatchObject({
        code: 'PGPUBSUB_UNKNOWN_COLUMN',
      })
      await expect(install({ table: 'media', [option]: [] })).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
    }
    expect(await database.sql(`select from pg_namespace where nspname = 'pgpubsub'`)).toEqual([])
  })
})

test('columns added, dropped and renamed while notifications wait lose nothing', async ({ database }) => {
  const prisma = database.prisma()
  const media: Record<string, unknown>[] = []
  const kept: unknown[] = []
  prisma.media.onPostChange('media', (change) => void media.push((change.new ?? change.old) as Record<string, unknown>))
  prisma.media.onPostInsert({ name: 'virus', select: { virus: true } }, (change) => void kept.push(change.new))
  await prisma.$pubsub.install()

  await database.sql(`insert into media (url, title, virus) values ('before', 'a', 'eicar')`)
  await database.sql(`alter table media drop column virus; alter table media rename title to heading;
    alter table media add column added text default 'new'`)
  await database.sql(`insert into media (url, heading) values ('after', 'b')`)
  await database.sql(`alter table media rename heading to title; alter table media add column virus text`)
  await database.sql(`update media set title = 'c' where url = 'after'`)
  await prisma.$pubsub.listen()
  await database.drained()

  await vi.waitFor(() => expect(media).toHaveLength(3))
  const byTitle = (title: string | null) => media.find((row) => row.title === title)
  expect(byTitle('a')).toMatchObject({ url: 'before', virus: 'eicar' })
  expect(byTitle(null)).toMatchObject({ url: 'after', virus: null, status: 'Pending' })
  expect(byTitle('c')).toMatchObject({ url: 'after', virus: null })
  for (const row of media) expect(row).not.toHaveProperty('added')
  expect(kept).toEqual(expect.arrayContaining([{ virus: 'eicar' }, { virus: null }]))
})
