import { mayWrite } from '@pgpubsub/core'
import fc from 'fast-check'
import { recordingClient } from './support/contexts.ts'
import { describe, expect, test } from './support/test.ts'

const reads = [
  'select 1',
  'SELECT "public"."media"."id" FROM "public"."media" WHERE 1=1 OFFSET $1',
  'select * from media where id in (1, 2) and (title = $1 or (url like $2))',
  'select count(*), MAX(id), pg_catalog.lower(url), "Pg".id from media "Pg" group by 3, 4',
  'select a.b from a join lateral (select 1) c on (true)',
  'select row_number() over (partition by url order by id) from media',
  "select 'insert into media(url)', 'it''s add_media(1)'",
  "select e'it\\'s add_media(', 'add_media(1)'",
  'select $$ add_media(1); delete from media $$, $tag$ $$ add_media(1) $tag$, $1',
  'select "add_media (1)", "a""b (" from media',
  'select 1 -- add_media(1)\n, 2 /* add_media(1); delete */',
  '/* a comment */ -- another\n select 1',
  '(select 1) union all (select 2)',
  'select 1; select 2;',
  'select * from media for update',
  'select * from media where id = 1 for no key update skip locked',
  'with m as (select * from media for update) select * from m',
  'with recursive m as materialized (select 1 as n union all select n + 1 from m where n < 5) select sum(n) from m',
  'with "update" as (select 1) select * from "update"',
  "with m as (select 'delete') select * from m",
  'select * into copied from media',
  'table media',
  'values (1), (2)',
  'explain select * from media',
  'explain insert into media (url) values (1)',
  'show all',
  'begin',
  'commit; begin isolation level serializable',
  'savepoint a',
  'rollback to savepoint a',
  'set local statement_timeout = 1000',
  'listen channel',
  'vacuum analyze media',
  'create index concurrently on media (lower(url))',
  'alter table media add column x int',
  '',
  ' ; ; ',
]

const writes = [
  'insert into media (url) values ($1)',
  'INSERT INTO media DEFAULT VALUES',
  '  \n\tUpdate media set url = $1',
  'delete from media',
  'merge into media using x on true when matched then delete',
  'truncate media',
  'copy media (url) from stdin',
  'call add_media(1)',
  'do $$ begin delete from media; end $$',
  'execute prepared(1)',
  'with m as (select 1) insert into media select * from m',
  'with m as (insert into media (url) values (1) returning *) select * from m',
  'with m as (DELETE FROM media RETURNING *) select * from m',
  'with m as (update media set url = 1 returning *) select * from m for update',
  '(with m as (delete from media returning *) select * from m)',
  'explain analyze insert into media (url) values (1)',
  'EXPLAIN (ANALYZE, BUFFERS) delete from media',
  'select add_media(1)',
  'select public.add_media(1)',
  'select * from add_media (1)',
  'select "add_media"(1)',
  'select "Add Media" (1)',
  'select my.count(1)',
  'select "my".lower(1)',
  'select größe(1)',
  "select set_config('a', 'b', true)",
  "select 'it''s', add_media(1), 'it''s'",
  "select e'\\'', add_media(1), 'x'",
  `select * from "Ticket, it's" where f('a')`,
  `select "a--b", add_media(1)`,
  `select "a/*b", add_media(1), "c*/d"`,
  "select '/*', add_media(1), '*/'",
  "select $$ it's $$, add_media(1), $$ ' $$",
  'values (add_media(1))',
  '/* a comment */ insert into media (url) values (1)',
  '-- select 1\ninsert into media (url) values (1)',
  '/* /* */ select 1 */ insert into media (url) values (1)',
  'select 1; insert into media (url) values (1)',
  'begin; insert into media (url) values (1); commit',
  'set local a.b = 1; delete from media',
]

describe('mayWrite', () => {
  test.for(reads)('is false for: %s', (sql) => expect(mayWrite(sql)).toBe(false))
  test.for(writes)('is true for: %s', (sql) => expect(mayWrite(sql)).toBe(true))

  test('sees a call wherever it stands among quotes and comments, and none inside of them', () => {
    const body = fc.string({ unit: fc.constantFrom('a', ' ', '(', ')', ';', "'", '"', '$', '\\', '--', '/*', 'f(1)') })
    const opaque = fc.oneof(
      body.map((text) => `'${text.replaceAll("'", "''")}'`),
      body.map((text) => `E'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`),
      body.map((text) => `$t$${text}$t$`),
      body.map((text) => `"x${text.replaceAll('"', '""')}"`),
      body.map((text) => `1 -- ${text}\n`),
      body.map((text) => `1 /*${text.replaceAll('/', '').replaceAll('*', '')}*/`),
      fc.constantFrom('$1', 'count(*)', '(1)'),
    )
    fc.assert(
      fc.property(fc.array(opaque, { maxLength: 6 }), fc.array(opaque, { maxLength: 6 }), (before, after) => {
        expect(mayWrite(`select ${['0', ...before, ...after].join(', ')}`)).toBe(false)
        expect(mayWrite(`select ${['0', ...before, 'add_media(1)', ...after].join(', ')}`)).toBe(true)
        expect(
          mayWrite(`select ${['0', ...before].join(', ')}; delete from media where ${['0', ...after].join(', ')}`),
        ).toBe(true)
      }),
      { numRuns: 500 },
    )
  })
})

test('every read that Prisma makes is one, and every write is one', async ({ database }) => {
  const sent: string[] = []
  const prisma = await recordingClient(database, { onQuery: (sql) => sent.push(sql) })
  const taken = () => sent.splice(0).filter((sql) => !/^(begin|commit|rollback)/i.test(sql))

  await prisma.user.create({
    data: { email: 'a', media: { create: [{ url: 'a', tags: { create: { label: 'a' } } }, { url: 'b' }] } },
  })
  await prisma.media.createMany({ data: [{ url: 'c' }, { url: 'd' }], skipDuplicates: true })
  await prisma.media.createManyAndReturn({ data: [{ url: 'e' }] })
  await prisma.reading.upsert({ where: { sensor: 'a' }, create: { sensor: 'a', value: 1 }, update: { value: 2 } })
  await prisma.media.updateMany({ where: { tags: { none: {} } }, data: { ownerId: { increment: 0 } } })
  await prisma.media.updateManyAndReturn({ where: { url: 'c' }, data: { title: 'c' } })
  await prisma.media.update({ where: { id: 1 }, data: { tags: { deleteMany: {} } } })
  await prisma.media.delete({ where: { id: 2 } })
  await prisma.media.deleteMany()
  const written = taken()
  for (const sql of written) {
    if (/^(insert|update|delete)/i.test(sql)) expect(mayWrite(sql), sql).toBe(true)
    else expect(mayWrite(sql), sql).toBe(false)
  }
  expect(written.length).toBeGreaterThan(9)

  const { media, user, everyType, ticket } = prisma
  const text = { contains: 'a', mode: 'insensitive' } as const
  await media.findMany({
    where: { title: text, NOT: { url: { startsWith: 'a' } }, OR: [{ id: 1 }, { id: { in: [1, 2] } }] },
  })
  await media.findMany({
    include: { tags: { orderBy: { label: 'asc' }, take: 2 }, owner: { select: { email: true } } },
  })
  await media.findMany({
    include: { _count: { select: { tags: { where: { label: 'a' } } } } },
    orderBy: { tags: { _count: 'desc' } },
  })
  await media.findMany({ where: { tags: { some: { label: 'a' }, every: { label: text }, none: { label: 'c' } } } })
  await media.findMany({
    where: { owner: { is: { email: 'a' } } },
    orderBy: [{ owner: { email: 'asc' } }, { id: 'desc' }],
  })
  await media.findMany({
    distinct: ['url'],
    cursor: { id: 1 },
    skip: 1,
    take: -3,
    orderBy: { title: { sort: 'asc', nulls: 'last' } },
  })
  await media.findFirst({ where: { createdAt: { gte: new Date(0) }, status: { notIn: ['Clean'] } } })
  await Promise.all([1, 2, 3].map((id) => media.findUnique({ where: { id }, include: { tags: true } })))
  await user.findMany({ include: { media: { include: { tags: true }, where: { title: null } }, _count: true } })
  await user.findUnique({ where: { email: 'a' } }).media({ take: 1 })
  await media.count({ where: { tags: { some: {} } }, select: { _all: true, title: true } })
  await media.aggregate({ _avg: { id: true }, _sum: { ownerId: true }, _min: { url: true }, _max: { createdAt: true } })
  await media.groupBy({ by: ['status', 'ownerId'], _count: { _all: true }, having: { id: { _avg: { gt: 1 } } } })
  await everyType
    .findMany({ where: { json: { path: ['a', 'b'], equals: 1 }, jsonText: { string_contains: 'a' } } })
    .catch(() => {})
  await everyType.findMany({
    where: { json: { path: ['a'], array_contains: [1] }, NOT: { json: { path: ['x'], gt: 1 } } },
  })
  await everyType.findMany({
    where: { strings: { hasSome: ['b'] }, dates: { isEmpty: true }, uuids: { hasEvery: [] }, ints: { equals: [1] } },
  })
  await everyType.findMany({
    where: { decimal: { gt: '1.5' }, bytes: { not: null }, mood: 'Happy', uuid: { not: null } },
  })
  await everyType.findMany({ where: { int: { equals: everyType.fields.smallint }, bigint: { lt: 5n } } })
  await ticket.findUnique({ where: { region_number: { region: "it's", number: 1n } } })
  await ticket.findMany({
    where: {
      OR: [
        { region: 'a', number: 1n },
        { region: 'b', number: 2n },
      ],
    },
  })
  const read = taken()
  for (const sql of read) expect(mayWrite(sql), sql).toBe(false)
  expect(read.length).toBeGreaterThan(20)
})
