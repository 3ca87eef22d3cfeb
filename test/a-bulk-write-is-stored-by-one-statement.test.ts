import type { TableListenerOptions } from '@pgpubsub/core'
import fc from 'fast-check'
import { untilAsleep } from './support/asleep.ts'
import { expect, inject, type TestDatabase, test, vi } from './support/test.ts'

const ignore = () => {}

const table = `create table item (id int primary key, title text, number numeric, at timestamptz, gone int, more json);
  alter table item drop column gone`

/** Two listeners that differ in their level alone: what the one stores, the other must store too. */
async function twins(database: TestDatabase, options: Partial<TableListenerOptions> = {}, create = table) {
  await database.sql(create)
  const core = database.core()
  for (const level of ['row', 'statement'] as const) {
    core.onChange({ table: 'item', name: level, level, wake: 'never', ...options }, ignore)
  }
  await core.install()
  return core
}

const storedBy = (database: TestDatabase, level: string) =>
  database.sql(
    'select operation, key, old, new, changed, context from pgpubsub.notification where listener = $1 order by id',
    [level],
  )

/** What both have stored since the last time, in the same order. */
async function sameOfBoth(database: TestDatabase) {
  const [rows, statements] = [await storedBy(database, 'row'), await storedBy(database, 'statement')]
  expect(statements).toEqual(rows)
  await database.sql('delete from pgpubsub.notification')
  return statements
}

test('inserts, updates, deletes, upserts and merges store what row triggers store', async ({ database }) => {
  await twins(database)
  const statements: [sql: string, operations: Record<string, number>][] = [
    [`insert into item select g, 'title ' || g, g / 3.0, now(), null from generate_series(1, 500) g`, { insert: 500 }],
    [`update item set title = title || '!', number = number * 1.0`, { update: 500 }],
    [`update item set title = 'same' where id <= 10`, { update: 10 }],
    [`update item set title = 'same' where id <= 20`, { update: 10 }],
    ['update item set number = number where false', {}],
    [
      `insert into item values (1, 'x'), (501, 'y') on conflict (id) do update set title = excluded.title`,
      { insert: 1, update: 1 },
    ],
    ['insert into item values (1) on conflict do nothing', {}],
    [
      'with gone as (delete from item where id = 2 returning *) insert into item select id + 1000 from gone',
      { delete: 1, insert: 1 },
    ],
    [`with a as (update item set title = 'a' where id = 3) update item set title = 'b' where id = 4`, { update: 2 }],
    ['delete from item where id > 250', { delete: 252 }],
    ['delete from item', { delete: 249 }],
  ]
  if (inject('postgresMajor') >= 15) {
    statements.push([
      `merge into item i using (values (7), (8)) v (id) on i.id = v.id when not matched then insert values (v.id)`,
      { insert: 2 },
    ])
  }
  for (const [sql, operations] of statements) {
    await database.sql(sql)
    const counts: Record<string, number> = {}
    for (const { operation } of await sameOfBoth(database)) counts[operation] = (counts[operation] ?? 0) + 1
    expect(counts, sql).toEqual(operations)
  }
})

test('of an update that changes keys, each old row is stored with its own new one', async ({ database }) => {
  await twins(
    database,
    { columns: ['title'] },
    table.replace('primary key', 'primary key deferrable initially deferred'),
  )
  await database.sql(`insert into item select g, 'title ' || g from generate_series(1, 100) g`)
  await sameOfBoth(database)

  await database.sql(`update item set id = 101 - id, title = title || '!'`)

  const stored = await sameOfBoth(database)
  expect(stored).toHaveLength(100)
  for (const { old, new: now } of stored) expect(now.title).toBe(`${old.title}!`)
})

test('rows that a cascade deletes and updates are stored, those of the same table as well', async ({ database }) => {
  await twins(
    database,
    {},
    `create table owner (id int primary key);
    create table item (id int primary key, owner int references owner on delete cascade on update cascade,
      parent int references item on delete cascade on update cascade)`,
  )
  await database.sql(`insert into owner values (1), (2)`)
  await database.sql(`insert into item select g, 1 + g % 2, nullif(g / 2, 0) from generate_series(1, 20) g`)
  expect(await sameOfBoth(database)).toHaveLength(20)
  await database.sql('update owner set id = 3 where id = 1')
  expect(await sameOfBoth(database)).toHaveLength(10)
  await database.sql('update item set id = id + 100, owner = 2')
  // where a row is changed twice, by the statement and by its cascade, the two levels take turns in another way
  const sorted = async (level: string) => (await storedBy(database, level)).map((row) => JSON.stringify(row)).sort()
  expect(await sorted('statement')).toEqual(await sorted('row'))
  expect((await sorted('row')).length).toBeGreaterThan(20)
  await database.sql('delete from pgpubsub.notification')
  await database.sql('delete from owner')
  expect(await sorted('statement')).toEqual(await sorted('row'))
  expect(await sorted('row')).toHaveLength(20)
})

const kinds: Partial<TableListenerOptions>[] = [
  {},
  { columns: ['title', 'more'] },
  { select: ['id', 'title'] },
  { omit: ['more'], columns: ['number', 'at'] },
  { keysOnly: true },
  { order: 'none', columns: ['id'] },
]

const value = {
  title: fc.constantFrom('null', `'a'`, `'A'`, `'it''s "one"'`),
  number: fc.constantFrom('null', '0', '0.0', '1.50', `'NaN'`, '12345678901234567890.1'),
  at: fc.constantFrom('null', `'2025-01-01 00:00+00'`, `'2025-01-01 02:00+02'`, `'infinity'`),
  more: fc.constantFrom('null', `'{"a": 1}'`, `'{"a":  1}'`, `'"\\u0000"'`),
}
const id = fc.integer({ min: 1, max: 6 })
const setting = fc
  .constantFrom('title', 'number', 'at', 'more')
  .chain((column) => value[column as keyof typeof value].map((sql) => `${column} = ${sql}`))
const row = fc.tuple(id, value.title, value.number, value.at, value.more).map((values) => `(${values.join(', ')})`)
const rows = fc.uniqueArray(row, { minLength: 1, maxLength: 4, selector: (text) => text.slice(0, 3) })
const statement = fc.oneof(
  rows.map((all) => `insert into item values ${all.join(', ')} on conflict do nothing`),
  fc
    .tuple(rows, setting)
    .map(([all, set]) => `insert into item values ${all.join(', ')} on conflict (id) do update set ${set}`),
  fc
    .tuple(setting, setting, id, id)
    .map(
      ([a, b, from, to]) =>
        `update item set ${a.split(' ')[0] === b.split(' ')[0] ? a : `${a}, ${b}`} where id between ${from} and ${to}`,
    ),
  id.map((by) => `update item set id = id + ${by * 10}, title = 'moved' where id <= 6`),
  id.map(
    (by) =>
      `update item set id = id % 10 where id > ${by} and not exists (select from item i where i.id = item.id % 10)`,
  ),
  fc.tuple(id, id).map(([from, to]) => `delete from item where id between ${from} and ${to}`),
  fc.constant(`set local pgpubsub.notification_context = '{"by": 7}'`),
  fc.constant(`set local pgpubsub.notification_context = 'no json'`),
  fc.constant(`set local timezone = 'Asia/Kolkata'`),
  fc.constant(`set local extra_float_digits = 0`),
)

test('whatever the statements are, and whatever the listener stores', async ({ database }) => {
  await database.sql(table)
  const core = database.core()
  for (const [index, options] of kinds.entries()) {
    for (const level of ['row', 'statement'] as const) {
      core.onChange({ table: 'item', name: `${level} ${index}`, level, wake: 'never', ...options }, ignore)
    }
  }
  await core.install()
  const client = await database.pool.connect()
  try {
    let stored = 0
    await fc.assert(
      fc.asyncProperty(fc.array(statement, { minLength: 3, maxLength: 12 }), async (statements) => {
        await client.query(`begin; ${statements.map((sql) => `savepoint s; ${sql}`).join('; ')}`).catch(ignore)
        await client.query('rollback to s').catch(ignore)
        const { rows: all } = await client.query(
          `select split_part(listener, ' ', 2) as kind, split_part(listener, ' ', 1) as level,
            (operation, key, old::text, new::text, changed, context::text)::text as change
          from pgpubsub.notification`,
        )
        const of = (level: string) =>
          all
            .filter((row) => row.level === level)
            .map(({ kind, change }) => `${kind} ${change}`)
            .sort()
        stored += all.length
        await client.query('rollback')
        expect(of('statement')).toEqual(of('row'))
      }),
      { numRuns: 150 },
    )
    expect(stored, 'or it proves nothing').toBeGreaterThan(1_000)
  } finally {
    client.release()
  }
})

test('a sleeping worker is woken once by a statement, and by one that touches nothing not at all', async ({
  database,
}) => {
  await database.sql('create table item (id int primary key, value int)')
  const core = database.core({ pollIntervalMs: 600_000 })
  let handled = 0
  core.onChange({ table: 'item', name: 'items', level: 'statement', order: 'none' }, () => void handled++)
  await core.install()
  const client = await database.pool.connect()
  let notified = 0
  client.on('notification', () => notified++)
  await client.query('listen pgpubsub')
  try {
    await core.listen()
    await untilAsleep(database)
    await client.query('update item set value = 2')
    expect(notified).toBe(0)
    await client.query('begin; insert into item select g from generate_series(1, 300) g; commit')
    await vi.waitFor(() => expect(handled).toBe(300), { timeout: 10_000 })
    expect(notified).toBe(1)
  } finally {
    client.release(true)
  }
})

test('a column that was renamed, dropped or added since fails no write, and loses no change', async ({ database }) => {
  await twins(database, { columns: ['title'] })
  await database.sql(`insert into item values (1, 'a', 1), (2, 'b', 2)`)
  await database.sql('delete from pgpubsub.notification')
  await database.sql(
    'alter table item rename title to heading; alter table item rename to thing; alter table thing add column extra int',
  )

  await database.sql(`update thing set heading = heading || '!', extra = 3`)

  const rows = await storedBy(database, 'row')
  expect(rows).toHaveLength(2)
  expect(await storedBy(database, 'statement')).toMatchObject(rows)
  await database.sql('delete from pgpubsub.notification')
  await database.sql('alter table thing drop column heading cascade')
  await database.sql('update thing set number = 3; insert into thing (id) values (3); delete from thing where id = 1')
  expect((await storedBy(database, 'statement')).map(({ operation }) => operation)).toEqual([
    ...['update', 'update'], // what the column held nobody can tell
    ...['insert', 'delete'],
  ])
})

test('a key that was renamed since fails no write, and all rows are one', async ({ database }) => {
  await twins(database, { when: { new: { number: 1 } } })
  await database.sql('alter table item rename id to uid')

  await database.sql(`insert into item values (1, 'a', 1), (2, 'b', 2), (3, 'c', 1)`)
  await database.sql('update item set number = 1 where uid = 2')

  const rows = await sameOfBoth(database)
  expect(rows.map((row) => [row.operation, row.new.uid])).toEqual([
    ['insert', 1],
    ['insert', 3],
    ['update', 2],
  ])
  expect(new Set(rows.map(({ key }) => key)).size).toBe(1)
})

test('names of any kind are only names', async ({ database }) => {
  const odd = `o'dd "$rows$table$" \\ %s $1 🎫`
  const name = `"${odd.replaceAll('"', '""')}"`
  await database.sql(
    `create table ${name} (${name} int primary key, "new_rows" text, "old" text, "position" int, "after" int, json json)`,
  )
  const core = database.core()
  for (const level of ['row', 'statement'] as const) {
    core.onChange(
      { table: odd, name: `${level} ${odd}`, level, columns: [odd, 'new_rows', 'old', 'position'], omit: ['after'] },
      ignore,
    )
  }
  await core.install()
  expect((await core.install()).replaced).toEqual([])
  await database.sql(`insert into ${name} values (1, 'a', 'b', 1, 1), (2, 'a', 'b', 1, 1)`)
  await database.sql(`update ${name} set "old" = 'c', "position" = 2`)
  await database.sql(`update ${name} set "old" = 'd', json = '"\\u0000"'`)
  await database.sql(`delete from ${name}`)

  const [rows, statements] = [await storedBy(database, `row ${odd}`), await storedBy(database, `statement ${odd}`)]
  expect(rows).toHaveLength(8)
  expect(statements).toEqual(rows)
})

test('where a statement trigger would miss writes, or cannot be, it is refused', async ({ database }) => {
  await database.sql(`create table parted (id int, day date) partition by range (day);
    create table part partition of parted default;
    create table parent (id int); create table heir () inherits (parent)`)
  for (const table of ['parted', 'part', 'parent', 'heir']) {
    const core = database.core()
    core.onChange({ name: 'refused', table, level: 'statement' }, ignore)
    await expect(core.install(), table).rejects.toMatchObject({
      code: 'PGPUBSUB_INVALID_OPTION',
      message: expect.stringContaining(`level 'row'`),
    })
  }
  const prisma = database.prisma()
  const invalid = expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION' })
  expect(() => prisma.media.onPreInsert({ name: 'before', level: 'statement' }, ignore)).toThrow(invalid)
  expect(() => prisma.media.onPostInsert({ name: 'wrong', level: 'table' as never }, ignore)).toThrow(invalid)
  const core = database.core()
  const before = { name: 'before', table: 'media', timing: 'before', level: 'statement' } as const
  expect(() => core.onChange(before, ignore)).toThrow(invalid)
})

test('a listener on a model may have it, and is changed from one level to the other', async ({ database }) => {
  const handled: unknown[] = []
  const program = (level: 'row' | 'statement') => {
    const prisma = database.prisma()
    prisma.media.onPostSave({ name: 'media', level, columns: ['title'] }, ({ old, new: media, changed, context }) =>
      handled.push([old?.title, media.title, [...changed].includes('title'), context]),
    )
    return prisma
  }
  await program('row').$pubsub.install()
  const prisma = program('statement')
  expect((await prisma.$pubsub.install()).replaced).toHaveLength(2)
  expect((await prisma.$pubsub.install()).replaced).toEqual([])

  await prisma.$pubsub.withContext({ userId: 7 }, () =>
    prisma.media.createMany({
      data: [
        { url: 'a', title: 'a' },
        { url: 'b', title: 'b' },
      ],
    }),
  )
  await prisma.media.updateMany({ data: { title: 'c' }, where: { url: 'a' } })
  await prisma.media.updateMany({ data: { url: 'unwatched' } })
  await prisma.$pubsub.listen()
  await database.drained()

  expect(handled).toEqual(
    expect.arrayContaining([
      [undefined, 'a', true, { userId: 7 }],
      [undefined, 'b', true, { userId: 7 }],
      ['a', 'c', true, {}],
    ]),
  )
  expect(handled).toHaveLength(3)
})
