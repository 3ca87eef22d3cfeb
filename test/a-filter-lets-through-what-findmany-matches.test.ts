import fc from 'fast-check'
import { Prisma } from '../prisma/generated/client.ts'
import { expect, type TestClient, type TestDatabase, test } from './support/test.ts'

/*
 * What a trigger stores is what findMany({ where }) finds with the same filter: of rows inserted by their new, of rows deleted
 * by their old, of updates by both. Filters and rows are generated from a seed that is part of every failure's message;
 * PGPUBSUB_SEED repeats a run.
 */
const seed = Number(process.env.PGPUBSUB_SEED ?? Date.now() % 2 ** 31)

type Where = Prisma.EveryTypeWhereInput
type Row = Prisma.EveryTypeCreateManyInput

const strings = [
  '',
  'a',
  'A',
  'ab',
  'aB',
  'a_b',
  'axb',
  '100%',
  'ü',
  'Ü',
  `it's`,
  'back\\slash',
  'line\nend',
  '{"x"}',
  '🎫',
]
const dates = [
  '1970-01-01T00:00:00.000Z',
  '1970-01-01T23:59:59.999Z',
  '2024-02-29T12:30:00.005Z',
  '0044-03-15T01:02:03Z',
]
const times = dates.map((text) => new Date(text))
const decimals = ['0', '1.5', '-1.50', '12345678901234567890.123456789', '0.000000000000000000000000000001']
const uuids = ['00000000-0000-0000-0000-00000000000a', 'ffffffff-0000-0000-0000-00000000000b']
const jsons = [{ a: 1 }, { a: 1.0, b: [null] }, [], 'a', 1, true, `it's`]
const bytes = [new Uint8Array(), new Uint8Array([0, 39, 92, 255])]
const bigints = [0n, 5n, -(2n ** 63n), 2n ** 63n - 1n]
const moods = ['Happy', 'Sad', 'Plain']
const ints = [0, 1, -1, 5, 32767]
const floats = [0, 0.1, -1.5, 1e300, 1e-300, 123456789.25]

const equal = ['equals', 'not']
const choice = [...equal, 'in', 'notIn']
const order = [...choice, 'lt', 'lte', 'gt', 'gte']
const text = [...order, 'contains', 'startsWith', 'endsWith']
const list = ['equals', 'has', 'hasSome', 'hasEvery', 'isEmpty']

/** Fields, the words that findMany takes for them, and values. */
const fields: Record<string, [words: readonly string[], values: readonly unknown[]]> = {
  string: [text, strings],
  varchar: [text, strings],
  char: [text, ['', 'a', 'A', 'ab', 'a b', 'x%']],
  uuid: [order, uuids],
  inet: [text, ['1.2.3.4', '10.0.0.0/8', '::1']],
  bit: [text, ['10101', '00000']],
  varbit: [text, ['1', '0101', '']],
  boolean: [equal, [true, false]],
  int: [order, ints],
  smallint: [order, ints],
  oid: [order, [0, 1, 5]],
  bigint: [order, bigints],
  float: [order, floats],
  real: [order, [0, 0.1, -1.5, 1e30]],
  decimal: [order, decimals],
  numeric: [order, decimals.map((digits) => new Prisma.Decimal(digits))],
  money: [order, [0, 1.5, 100]],
  datetime: [order, times],
  timestamp6: [order, times],
  timestamptz: [order, [...times.slice(1), '2024-02-29T14:30:00.005+02:00']],
  date: [order, times],
  time: [order, times],
  timetz: [order, times],
  json: [equal, jsons],
  bytes: [choice, bytes],
  mood: [choice, moods],
  strings: [list, strings],
  booleans: [list, [true, false]],
  ints: [list, ints],
  bigints: [list, bigints],
  floats: [list, floats],
  decimals: [list, decimals],
  datetimes: [list, times],
  timestamptzs: [list, times],
  dates: [list, times],
  times: [list, times],
  // Prisma sends their elements in base64, so that nothing matches
  bytesList: [['isEmpty'], bytes],
  moods: [list, moods],
  uuids: [list, uuids],
}
const names = Object.keys(fields)
const isList = (name: string) => fields[name]?.[0].includes('isEmpty')
const anyOf = (name: string) => fc.constantFrom(...(fields[name]?.[1] ?? []))
const listOf = (name: string) => fc.array(anyOf(name), { maxLength: 3 })

const row = fc.record(
  Object.fromEntries(names.map((name) => [name, isList(name) ? listOf(name) : fc.option(anyOf(name), { freq: 4 })])),
)
const asRow = (values: Record<string, unknown>) => ({ ...values, json: values.json ?? Prisma.JsonNull }) as Row

const severalOperands = ['in', 'notIn', 'hasSome', 'hasEvery']

function operand(name: string, word: string): fc.Arbitrary<unknown> {
  if (word === 'isEmpty') return fc.boolean()
  if (severalOperands.includes(word) || (isList(name) && word === 'equals')) return listOf(name)
  if (name === 'json') return fc.oneof(anyOf(name), fc.constantFrom(Prisma.DbNull, Prisma.JsonNull, Prisma.AnyNull))
  return equal.includes(word) ? fc.option(anyOf(name), { freq: 5 }) : anyOf(name)
}

const insensitive = ['string', 'varchar', 'char']

function asked(name: string, word: string): fc.Arbitrary<Where> {
  const sensitive = operand(name, word).map((value) => ({ [name]: { [word]: value } }))
  if (!insensitive.includes(name)) return sensitive
  return fc.oneof(
    sensitive,
    sensitive.map((where) => ({ [name]: { ...where[name], mode: 'insensitive' } })),
  )
}

/** What stands in `not: { … }`; lists and JSON have none. */
function notAsked(name: string, words: readonly string[]): fc.Arbitrary<Where> {
  const inner = words.filter((word) => word !== 'not').map((word) => operand(name, word).map((value) => [word, value]))
  return fc
    .uniqueArray(fc.oneof(...inner), { minLength: 1, maxLength: 2, selector: ([word]) => word })
    .map((entries) => ({ [name]: { not: Object.fromEntries(entries) } }))
}

const field: fc.Arbitrary<Where> = fc.constantFrom(...names).chain((name) => {
  const [words, values] = fields[name] ?? [[], []]
  const several = fc.constantFrom(...words).chain((word) => asked(name, word))
  if (isList(name) || name === 'json') return several
  return fc.oneof(
    several,
    fc.constantFrom(null, ...values).map((value) => ({ [name]: value }) as Where),
    notAsked(name, words),
  )
})

const where = fc.letrec<{ where: Where }>((tie) => {
  const some = fc.array(tie('where'), { maxLength: 3 })
  return {
    where: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      field,
      fc.tuple(field, field).map(([a, b]) => ({ ...a, ...b })),
      some.map((AND) => ({ AND })),
      fc.tuple(field, some).map(([first, others]) => ({ OR: [first, ...others] })),
      some.map((NOT) => ({ NOT })),
      tie('where').map((NOT) => ({ NOT })),
    ),
  }
}).where

/** Every word of every field, then groups of them. */
const ordered = [
  ...names.flatMap((name) =>
    (fields[name]?.[0] ?? []).flatMap((word) => fc.sample(asked(name, word), { seed, numRuns: 1 })),
  ),
  ...fc.sample(where, { seed, numRuns: 120 }),
]
const filters = fc.sample(fc.shuffledSubarray(ordered, { minLength: ordered.length }), { seed, numRuns: 1 }).flat()

// what Prisma cannot write, but others can
const strange = `insert into every_type (float, real, decimal, datetime, timestamptz, date, time, timestamp6, oid, strings, ints, json)
  values ('NaN', 'Infinity', 'NaN', 'infinity', '-infinity', '0044-03-15 BC', '24:00', '1970-01-01 00:00:00.000001', 4294967295, null, '{1,null}', 'null'),
    ('-Infinity', 'NaN', '1.50', '1970-01-01 00:00:00.0004', '1970-01-01 00:00+02', 'infinity', '00:00:00.000001', 'infinity', 5, '{null}', '{{1,5},{0,1}}', null)`

async function setUp(database: TestDatabase): Promise<TestClient> {
  // PrismaPg takes whatever zone the session has for UTC
  await database.sql(
    `do $$ begin execute format('alter database %I set timezone to ''UTC''', current_database()); end $$`,
  )
  return database.prisma()
}

/** Ids of the rows that match; null where Prisma itself sends what PostgreSQL cannot read, as it does for lists of times. */
async function ids(prisma: TestClient, where: Where): Promise<ReadonlySet<number> | null> {
  try {
    const rows = await prisma.everyType.findMany({ where, select: { id: true } })
    return new Set(rows.map(({ id }) => id))
  } catch (error) {
    if (error instanceof Prisma.PrismaClientKnownRequestError) return null
    throw error
  }
}

/** What each listener has stored since the last time: the ids, as a text that can be compared. */
async function stored(database: TestDatabase): Promise<(listener: string) => string> {
  const rows = await database.sql(
    `delete from pgpubsub.notification returning listener, coalesce(new, old) -> 'id' as id`,
  )
  const byListener = new Map<string, number[]>()
  for (const { listener, id } of rows) byListener.set(listener, [...(byListener.get(listener) ?? []), id])
  return (listener) => sorted(byListener.get(listener) ?? [])
}

const sorted = (numbers: Iterable<number>) => [...numbers].sort((a, b) => a - b).join(' ')

type Found = ReadonlyMap<Where, ReadonlySet<number> | null>

async function look(prisma: TestClient): Promise<Found> {
  return new Map(await Promise.all(filters.map(async (where) => [where, await ids(prisma, where)] as const)))
}

/** Pairs of them, half of which are asked of each row, and half of all rows of a statement. */
const pairs = Array.from({ length: Math.floor(filters.length / 2) }, (_, index) => ({
  name: `pair ${index}`,
  new: filters[2 * index] as Where,
  old: filters[2 * index + 1] as Where,
  level: index % 2 === 0 ? ('row' as const) : ('statement' as const),
}))

const shown = ({ name, level, ...when }: (typeof pairs)[number]) =>
  `seed ${seed}, ${name}, ${level}: ${JSON.stringify(when, (_key, value) => (typeof value === 'bigint' ? `${value}n` : value))}`

test('inserts are filtered by new, deletes by old, updates by both, for every word of every type', {
  timeout: 60_000,
}, async ({ database }) => {
  const prisma = await setUp(database)
  for (const { name, level, ...when } of pairs) {
    prisma.everyType.onPostChange({ name, level, when, select: { id: true }, wake: 'never', order: 'none' }, () => {})
  }
  await prisma.$pubsub.install()

  await prisma.everyType.createMany({ data: fc.sample(row, { seed, numRuns: 40 }).map(asRow) })
  await database.sql(strange)
  const inserted = await stored(database)
  const first = await look(prisma)
  expect([...first.values()].filter((found) => found === null).length).toBeLessThan(filters.length / 10)
  for (const pair of pairs) {
    const found = first.get(pair.new)
    if (found) expect(inserted(pair.name), `inserts, ${shown(pair)}`).toBe(sorted(found))
  }

  // each row becomes another one; a third of them stay as they are
  const [{ columns }] = await database.sql(`select string_agg(quote_ident(attname), ', ') as columns from pg_attribute
    where attrelid = 'every_type'::regclass and attnum > 0 and not attisdropped and attname <> 'id'`)
  await database.sql('create table before as table every_type')
  await database.sql(`update every_type t set (${columns}) =
    (select ${columns} from before b where b.id = case when t.id % 3 = 0 then t.id else 1 + t.id % 41 end)`)
  const changed = await database.sql('select id from every_type t join before b using (id) where t.* *<> b.*')
  expect(changed.length).toBeGreaterThan(20)
  const updated = await stored(database)
  const second = await look(prisma)
  for (const pair of pairs) {
    const [old, now] = [first.get(pair.old), second.get(pair.new)]
    const both = changed.map(({ id }) => id).filter((id) => old?.has(id) && now?.has(id))
    if (old && now) expect(updated(pair.name), `updates, ${shown(pair)}`).toBe(sorted(both))
  }

  await database.sql('delete from every_type')
  const deleted = await stored(database)
  for (const pair of pairs) {
    const found = second.get(pair.old)
    if (found) expect(deleted(pair.name), `deletes, ${shown(pair)}`).toBe(sorted(found))
  }
})
