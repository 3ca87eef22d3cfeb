import { expect, type TestDatabase, test } from './support/test.ts'

const ignore = () => {}

/** Sends the statement, and says for which listeners it stored something. */
async function fires(database: TestDatabase, statement: string): Promise<string[]> {
  await database.sql('delete from pgpubsub.notification')
  await database.sql(statement)
  return (await database.notifications()).map((row) => row.listener).sort()
}

test('an update that changes nothing fires nothing', async ({ database }) => {
  const prisma = database.prisma()
  prisma.media.onPostSave('after', ignore)
  prisma.media.onPreUpdate('before', ignore)
  prisma.media.onPostUpdate({ name: 'columns', columns: ['title', 'status'] }, ignore)
  await prisma.$pubsub.install()
  await database.sql(`insert into media (id, url, title) values (1, 'a', 'b'), (2, 'c', null)`)

  expect(await fires(database, `update media set title = title, url = url || ''`)).toEqual([])
  expect(await fires(database, `update media set status = 'Pending', virus = null, id = id + 0`)).toEqual([])
  const { url, title } = await prisma.media.findFirstOrThrow({ where: { id: 1 } })
  await prisma.media.update({ where: { id: 1 }, data: { url, title } })
  expect(await database.notifications()).toEqual([])

  // of two rows that the statement touches, one is different afterwards
  expect(await fires(database, `update media set title = 'b'`)).toEqual(['after', 'before', 'columns'])
})

test('with columns, an update fires only where one of them is different', async ({ database }) => {
  const prisma = database.prisma()
  prisma.media.onPostSave({ name: 'title', columns: ['title'] }, ignore)
  prisma.media.onPostSave({ name: 'owner or scan', columns: ['ownerId', 'scannedAt'] }, ignore)
  prisma.media.onPreUpdate({ name: 'before', columns: ['url'] }, ignore)
  await prisma.$pubsub.install()

  expect(await fires(database, `insert into media (id, url) values (1, 'a')`)).toEqual(['owner or scan', 'title'])
  expect(await fires(database, `update media set virus = 'eicar', status = 'Infected'`)).toEqual([])
  expect(await fires(database, `update media set url = 'b'`)).toEqual(['before'])
  expect(await fires(database, `update media set title = 'a'`)).toEqual(['title'])
  expect(await fires(database, `update media set title = null`)).toEqual(['title'])
  expect(await fires(database, `update media set scanned_at = now(), title = null, url = 'b'`)).toEqual([
    'owner or scan',
  ])
  expect(await fires(database, `update media set scanned_at = null, title = 'a', url = 'c'`)).toEqual([
    'before',
    'owner or scan',
    'title',
  ])
})

test('columns say nothing of inserts and deletes', async ({ database }) => {
  const prisma = database.prisma()
  prisma.media.onPostChange({ name: 'title', columns: ['title'] }, ignore)
  await prisma.$pubsub.install()

  expect(await fires(database, `insert into media (url) values ('a')`)).toEqual(['title'])
  expect(await fires(database, `delete from media`)).toEqual(['title'])
})

// [the column's type, a value, the same value written in another way, another value]
const values: [type: string, value: string, same: string, other: string][] = [
  ['text', `'a'`, `'a' || ''`, `'A'`],
  ['varchar(9)', `'a'`, `'a'::text`, `'b'`],
  ['char(4)', `'a'`, `'a '`, `'b'`],
  ['int', '1', '2 - 1', '2'],
  ['bigint', '9007199254740993', '9007199254740992 + 1', '9007199254740992'],
  ['numeric', '0.1', '1 - 0.9', '0.2'],
  ['float8', `'NaN'`, `'nan'`, `'Infinity'`],
  ['real', `'Infinity'`, `'inf'`, `'-Infinity'`],
  ['money', '1', '2 - 1', '3'],
  ['boolean', 'true', 'not false', 'false'],
  ['timestamptz', `'2025-01-01 00:00+00'`, `'2025-01-01 02:00+02'`, `'2025-01-01 00:00+02'`],
  ['timetz', `'12:00+00'`, `'12:00:00+00'`, `'14:00+02'`],
  ['interval', `'1 day'`, `'1 days 0 seconds'`, `'24 hours'`],
  ['bytea', `'\\x00'`, `decode('00', 'hex')`, `'\\x0000'`],
  ['uuid', `'00000000-0000-0000-0000-00000000000a'`, `'0000000000000000000000000000000A'`, `gen_random_uuid()`],
  ['inet', `'::1'`, `'0::1'`, `'::2'`],
  ['cidr', `'10.0.0.0/8'`, `'10/8'`, `'10.0.0.0/9'`],
  ['macaddr', `'08:00:2b:01:02:03'`, `'08-00-2b-01-02-03'`, `'08:00:2b:01:02:04'`],
  ['bit(3)', `B'101'`, `B'10' || B'1'`, `B'100'`],
  ['xml', `'<a/>'`, `'<a/>'`, `'<b/>'`],
  ['json', `'{"a": 1}'`, `'{"a": 1}'`, `'{"a":  1}'`],
  ['jsonb', `'{"a": 1, "b": 2}'`, `'{"b": 2, "a": 1}'`, `'{"a": 2}'`],
  ['jsonpath', `'$.a'`, `'$."a"'`, `'$.b'`],
  ['tsvector', `'a b'`, `'b a'`, `'a'`],
  ['tsquery', `'a & b'`, `'a&b'`, `'a | b'`],
  ['point', `'(1,2)'`, `point(1, 2)`, `'(2,1)'`],
  ['box', `'(1,1),(0,0)'`, `'(0,0),(1,1)'`, `'(2,2),(1,1)'`],
  ['polygon', `'((0,0),(1,1),(1,0))'`, `'(0,0),(1,1),(1,0)'`, `'((1,1),(1,0),(0,0))'`],
  ['int4range', `'[1,3)'`, `'[1,2]'`, `'[1,4)'`],
  ['int4multirange', `'{[1,2),[2,3)}'`, `'{[1,3)}'`, `'{}'`],
  ['pg_lsn', `'0/1'`, `'0/01'`, `'0/2'`],
  ['pg_snapshot', `'1:1:'`, `'1:1:'`, `'1:2:'`],
  ['regclass', `'pg_class'`, `'pg_catalog.pg_class'`, `'pg_type'`],
  ['scan_status', `'Pending'`, `'Pending'::scan_status`, `'Infected'`],
  ['text[]', `'{a,NULL}'`, `array['a', null]`, `'{a}'`],
  ['scan_status[]', `'{Pending}'`, `array['Pending'::scan_status]`, `'{}'`],
  ['json[]', `array['1'::json]`, `array['1'::json]`, `array['2'::json]`],
  ['xml[]', `array['<a/>'::xml]`, `array['<a/>'::xml]`, `array['<b/>'::xml]`],
  ['point[]', `array[point(1, 2)]`, `array[point(1, 2)]`, `array[point(2, 1)]`],
  ['positive', '1', '2 - 1', '2'],
  ['document', `'{"a": 1}'`, `'{"a": 1}'`, `'{"a": 2}'`],
  ['document[]', `array['1'::document]`, `array['1'::document]`, `array['2'::document]`],
  ['documents', `array['1'::json]`, `array['1'::json]`, `array['2'::json]`],
  ['places', `array[point(1, 2)]`, `array[point(1, 2)]`, `array[point(2, 1)]`],
  ['pair', `(1, '{}')`, `row(2 - 1, '{}'::json)`, `(1, '[]')`],
  ['pair[]', `array[(1, '{}')::pair]`, `array[(1, '{}')::pair]`, `array[(1, '[]')::pair]`],
  ['loose', `'a'`, `'a'`, `'A'`],
  ['text collate ignoring_case', `'a'`, `'a'`, `'A'`],
]

test('of a column of any type it is known whether it really changed', async ({ database }) => {
  const core = database.core({ defaults: { wake: 'never' } })
  await database.sql(`create domain positive as int check (value > 0);
    create domain document as json;
    create domain documents as json[];
    create domain places as point[];
    create type pair as (number int, more json);
    create collation ignoring_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
    create domain loose as text collate ignoring_case;
    create table watched (id int primary key, ${values.map(([type], index) => `c${index} ${type}`).join(', ')})`)
  for (const [index, [type]] of values.entries()) {
    core.onChange({ name: type, table: 'watched', operations: ['update'], columns: [`c${index}`] }, ignore)
  }
  core.onChange({ name: 'any', table: 'watched', operations: ['update'] }, ignore)
  core.onChange({ name: 'before any', table: 'watched', operations: ['update'], timing: 'before' }, ignore)
  const all = values.map((_, index) => `c${index}`)
  core.onChange({ name: 'all', table: 'watched', operations: ['update'], columns: all }, ignore)
  await core.install()
  await database.sql('insert into watched (id) values (1)')
  // all at once: first each on its own would be two hundred statements
  const set = (which: number) =>
    `update watched set ${values.map((value, index) => `c${index} = ${value[which]}`).join(', ')}`
  const everyone = [...values.map(([type]) => type), 'all', 'any', 'before any'].sort()

  expect(await fires(database, set(1)), 'from null to a value').toEqual(everyone)
  expect(await fires(database, set(2)), 'to the same value').toEqual([])
  expect(await fires(database, set(3)), 'to another value').toEqual(everyone)
  const nulls = `update watched set ${all.map((column) => `${column} = null`).join(', ')}`
  expect(await fires(database, nulls), 'to null').toEqual(everyone)
  expect(await fires(database, nulls), 'from null to null').toEqual([])
})

test('the fields named by changed are those that are different, to the last digit', async ({ database }) => {
  const prisma = database.prisma()
  const changed: string[][] = []
  prisma.everyType.onPostUpdate('every-type', (change) => void changed.push([...change.changed]))
  prisma.everyType.onPostUpdate(
    { name: 'part', select: { id: true } },
    (change) => void changed.push([...change.changed]),
  )
  await prisma.$pubsub.install()
  await database.sql(
    `insert into every_type (id, bigint, "decimal", float) values (1, 9007199254740992, 0.1234567890123456789, 'NaN')`,
  )
  await database.sql(`update every_type set bigint = 9007199254740993, "decimal" = 0.1234567890123456788`)
  await prisma.$pubsub.listen()
  await database.drained()

  expect(changed.map((names) => names.sort())).toEqual([
    ['bigint', 'decimal'],
    ['bigint', 'decimal'],
  ])
})
