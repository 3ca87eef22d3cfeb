import fc from 'fast-check'
import type { Prisma } from '../prisma/generated/client.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

/*
 * Whatever a row holds, the handler gets what prisma.everyType.findUnique() reads. Rows are generated from a seed that
 * is part of every failure's message; PGPUBSUB_SEED repeats a run.
 */
const seed = Number(process.env.PGPUBSUB_SEED ?? Date.now() % 2 ** 31)

type EveryType = NonNullable<Prisma.Result<Prisma.EveryTypeDelegate, object, 'findUnique'>>

/** A database whose Prisma reads in UTC: PrismaPg takes whatever zone the session has for UTC. */
async function listening(database: TestDatabase, part: object = {}) {
  await database.sql(
    `do $$ begin execute format('alter database %I set timezone to ''UTC''', current_database()); end $$`,
  )
  const prisma = database.prisma()
  const received = new Map<number, EveryType>()
  prisma.everyType.onPostInsert({ name: 'decode', ...part }, ({ new: row }) => received.set(row.id, row))
  const errors: unknown[] = []
  prisma.$pubsub.on('failed', ({ error }) => errors.push(error))
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  const handled = async (ids: readonly number[]) => {
    await vi.waitFor(
      () => {
        expect(errors, `seed ${seed}`).toEqual([])
        expect(ids.filter((id) => !received.has(id))).toEqual([])
      },
      { timeout: 20_000, interval: 10 },
    )
    return ids.map((id) => received.get(id) as EveryType)
  }
  return { prisma, handled }
}

/** Inserts rows by column name, from values as JSON or as PostgreSQL's text of them. @returns their ids, in order */
async function insertRaw(database: TestDatabase, rows: readonly object[], settings: readonly string[] = []) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))].map((column) => `"${column}"`).join(', ')
  const connection = await database.pool.connect()
  try {
    for (const setting of settings) await connection.query(`set ${setting}`)
    const { rows: inserted } = await connection.query(
      `insert into every_type (${columns}) select ${columns} from json_populate_recordset(null::every_type, $1) returning id`,
      [JSON.stringify(rows)],
    )
    return inserted.map(({ id }) => id as number)
  } finally {
    connection.release(true)
  }
}

// PostgreSQL stores no NUL in text or jsonb
const text = (maxLength = 20) =>
  fc
    .string({ unit: 'grapheme', maxLength })
    .map((value) => value.replaceAll('\0', ''))
    .filter((value) => !/\p{Surrogate}/u.test(value))
const json = fc.oneof(
  fc
    .jsonValue({ maxDepth: 4, stringUnit: 'grapheme' })
    .map((value) => JSON.stringify(value).replaceAll('\\u0000', ''))
    // Prisma gives the member's value to the object as its prototype, and fails to write one that has none
    .filter((text) => !text.includes('"__proto__":null'))
    .map((text) => JSON.parse(text)),
  fc.constantFrom(
    '12345678901234567890',
    '1e5',
    1e300,
    -1e-300,
    2 ** 53,
    '',
    'null',
    [[]],
    {},
    { a: [{ b: [null, {}] }] },
  ),
  fc.constantFrom(
    JSON.parse('{"__proto__": 1, "": [], "constructor": null}'),
    { $type: 'BigInt', value: 1 },
    { 'a"b\\c,}]': '{[,:"\\' },
  ),
)
const digits = (maxLength: number) => fc.stringMatching(new RegExp(`^\\d{1,${maxLength}}$`))
const decimal = fc
  .tuple(fc.constantFrom('', '-'), digits(35), digits(30))
  .map((parts) => `${parts[0]}${parts[1]}.${parts[2]}`)
const bigint = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
const bytes = fc.uint8Array({ maxLength: 40 })
// Prisma rounds what it writes, over the greatest double too; jsonb has no -0
const positiveZero = (value: number) => value + 0
const double = fc.double({ noNaN: true, min: -1e300, max: 1e300 }).map(positiveZero)
const real = fc.float({ noNaN: true, min: -(2 ** 100), max: 2 ** 100 }).map(positiveZero)
const date = fc.date({
  min: new Date('0001-01-03T00:00:00Z'),
  max: new Date('9999-12-30T23:59:59.999Z'),
  noInvalidDate: true,
})
const mood = fc.constantFrom('Happy', 'Sad', 'Plain')
const list = <T>(element: fc.Arbitrary<T>) => fc.array(element, { maxLength: 5 })
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { freq: 6 })
const bits = (minLength: number, maxLength: number) =>
  fc.stringMatching(new RegExp(`^[01]{${minLength},${maxLength}}$`))
const octet = fc.nat(255)
const inet = fc.oneof(
  fc
    .tuple(octet, octet, octet, octet, fc.constantFrom('', '/8', '/32'))
    .map((parts) => `${parts.slice(0, 4).join('.')}${parts[4]}`),
  fc.ipV6().filter((address) => !address.includes('.')),
)

describe('a row written by Prisma', () => {
  const row = fc.record({
    string: optional(text(60)),
    varchar: optional(text()),
    char: optional(fc.stringMatching(/^[a-z ]{0,8}$/)),
    uuid: optional(fc.uuid()),
    inet: optional(inet),
    xml: optional(fc.constantFrom('<a b="c">&lt;ü</a>', 'text', '')),
    bit: optional(bits(5, 5)),
    varbit: optional(bits(0, 20)),
    boolean: optional(fc.boolean()),
    int: optional(fc.integer()),
    smallint: optional(fc.integer({ min: -32768, max: 32767 })),
    oid: optional(fc.integer({ min: 0 })),
    bigint: optional(bigint),
    float: optional(double),
    real: optional(real),
    decimal: optional(decimal),
    numeric: optional(decimal),
    money: optional(fc.nat(99_999).map((cents) => cents / 100)),
    datetime: optional(date),
    timestamp6: optional(date),
    timestamptz: optional(date),
    date: optional(date),
    time: optional(date),
    timetz: optional(date),
    json: optional(json).map((value) => value ?? undefined),
    jsonText: optional(json).map((value) => value ?? undefined),
    bytes: optional(bytes),
    mood: optional(mood),
    strings: list(text()),
    booleans: list(fc.boolean()),
    ints: list(fc.integer()),
    bigints: list(bigint),
    floats: list(double),
    decimals: list(decimal),
    datetimes: list(date),
    timestamptzs: list(date),
    dates: list(date),
    times: list(date),
    jsons: list(json.filter((value) => value !== null)),
    bytesList: list(bytes),
    moods: list(mood),
    uuids: list(fc.uuid()),
  })

  test('reaches the handler as Prisma reads it back, for 400 generated rows of every type', async ({ database }) => {
    const { prisma, handled } = await listening(database)
    const rows = fc.sample(row, { seed, numRuns: 400 }) as unknown as Prisma.EveryTypeCreateManyInput[]
    for (let at = 0; at < rows.length; at += 100) {
      await prisma.everyType.createMany({ data: rows.slice(at, at + 100) })
    }
    const read = await prisma.everyType.findMany({ orderBy: { id: 'asc' } })
    expect(read).toHaveLength(rows.length)
    expectSame(await handled(read.map(({ id }) => id)), read, 'Prisma')
  })
})

describe('a row written by other SQL', () => {
  const hex = bytes.map((value) => `\\x${Buffer.from(value).toString('hex')}`)
  const clock = fc
    .tuple(fc.nat(23), fc.nat(59), fc.nat(59), fc.nat(999_999))
    .map(
      ([hours, minutes, seconds, micros]) =>
        `${two(hours)}:${two(minutes)}:${two(seconds)}.${String(micros).padStart(6, '0')}`,
    )
  const day = date.map((value) => value.toISOString().slice(0, 10))
  const timestamp = fc.tuple(day, clock).map((parts) => parts.join(' '))
  const offset = fc
    .tuple(fc.constantFrom('+', '-'), fc.nat(14), fc.constantFrom('', ':30'))
    .map(([sign, hours, half]) => `${sign}${two(hours)}${half}`)
  const float = fc.oneof(fc.double(), fc.constantFrom(0.1 + 0.2, Number.NaN, Infinity, -Infinity)).map(floatText)
  const row = fc.record({
    float: optional(float),
    real: optional(fc.oneof(fc.float()).map(floatText)),
    decimal: optional(fc.oneof(decimal, fc.constant('NaN'))),
    oid: optional(fc.nat(0xffffffff)),
    datetime: optional(timestamp),
    timestamp6: optional(timestamp),
    timestamptz: optional(fc.tuple(timestamp, offset).map((parts) => parts.join(''))),
    date: optional(day),
    time: optional(fc.oneof(clock, fc.constant('24:00:00'))),
    timetz: optional(fc.tuple(clock, offset).map((parts) => parts.join(''))),
    money: optional(fc.nat(99_999).map((cents) => (cents / 100).toFixed(2))),
    json: optional(json),
    'json text': optional(json),
    bytes: optional(hex),
    mood: optional(fc.constantFrom('happy 🙂', 'so "sad"', 'Plain')),
    strings: optional(list(text())),
    booleans: optional(list(fc.boolean())),
    bigints: optional(list(bigint.map(String))),
    floats: optional(list(float)),
    decimals: optional(list(fc.oneof(decimal, fc.constant('NaN')))),
    datetimes: optional(list(timestamp)),
    timestamptzs: optional(list(fc.tuple(timestamp, offset).map((parts) => parts.join('')))),
    times: optional(list(clock)),
    'bytes list': optional(list(hex)),
    moods: optional(list(fc.constantFrom('happy 🙂', 'so "sad"', 'Plain'))),
  })

  const sessions: [name: string, settings: string[]][] = [
    ['as it is', []],
    ['whose bytea_output is escape', [`bytea_output = 'escape'`]],
    ['whose dates are German', [`datestyle = 'SQL, DMY'`, `intervalstyle = 'iso_8601'`]],
    ['in the time zone of Kolkata', [`timezone = 'Asia/Kolkata'`]],
    ['in a zone whose offset had seconds', [`timezone = 'Europe/Amsterdam'`]],
    ['that rounds floats', ['extra_float_digits = -15']],
  ]

  test('is the same to the handler and to Prisma, in whatever session it was written', async ({ database }) => {
    const { prisma, handled } = await listening(database)
    const rows = fc.sample(row, { seed, numRuns: 660 })
    for (const [index, [name, settings]] of sessions.entries()) {
      const ids = await insertRaw(database, rows.slice(index * 110, index * 110 + 110), settings)
      const read = await prisma.everyType.findMany({ where: { id: { in: ids } }, orderBy: { id: 'asc' } })
      expect(read).toHaveLength(110)
      expectSame(await handled(ids), read, `a session ${name}`)
    }
  })
})

describe('what Prisma itself cannot read', () => {
  /** What the handler gets of one field that holds the value. */
  async function decoded<F extends keyof EveryType>(
    database: TestDatabase,
    field: F,
    column: string,
    values: unknown[],
  ) {
    const { handled } = await listening(database)
    const ids = await insertRaw(
      database,
      values.map((value) => ({ [column]: value })),
    )
    return (await handled(ids)).map((row) => row[field])
  }

  test('money is its amount, with its sign and over a thousand', async ({ database }) => {
    const amounts = ['-0.05', '1234567.89', '-92233720368547758.08', '1000']
    const read = await decoded(database, 'money', 'money', amounts)
    expect(read.map((amount) => amount?.toFixed(2))).toEqual([
      '-0.05',
      '1234567.89',
      '-92233720368547758.08',
      '1000.00',
    ])
  })

  test('years beyond 9999 and before Christ are dates', async ({ database }) => {
    const values = [
      '10000-01-01 00:00:00',
      '275760-09-13 00:00:00',
      '0044-03-15 12:00:00.5 BC',
      '0001-12-31 00:00:00 BC',
    ]
    const read = await decoded(database, 'datetime', 'datetime', values)
    const years = [
      '+010000-01-01T00:00:00.000Z',
      '+275760-09-13T00:00:00.000Z',
      '-000043-03-15T12:00:00.500Z',
      '0000-12-31T00:00:00.000Z',
    ]
    expect(read.map((value) => value?.toISOString())).toEqual(years)
  })

  test('so are they with a time zone, and days without a time', async ({ database }) => {
    const { handled } = await listening(database)
    const far = {
      timestamptz: '0044-03-15 12:00:00+02 BC',
      date: '0044-03-15 BC',
      dates: ['12345-06-07'],
      timestamptzs: ['12345-06-07 08:09:10-01'],
    }
    const [row] = await handled(await insertRaw(database, [far]))
    expect(row?.timestamptz?.toISOString()).toBe('-000043-03-15T10:00:00.000Z')
    expect(row?.date?.toISOString()).toBe('-000043-03-15T00:00:00.000Z')
    expect(row?.dates.map((value) => value.toISOString())).toEqual(['+012345-06-07T00:00:00.000Z'])
    expect(row?.timestamptzs.map((value) => value.toISOString())).toEqual(['+012345-06-07T09:09:10.000Z'])
  })

  test('infinity is an invalid date, as it is to Prisma', async ({ database }) => {
    const { prisma, handled } = await listening(database)
    const ids = await insertRaw(database, [{ datetime: 'infinity', timestamptz: '-infinity', date: 'infinity' }])
    const [row] = await handled(ids)
    const read = await prisma.everyType.findUniqueOrThrow({ where: { id: ids[0] as number } })
    expect([row?.datetime, row?.timestamptz, row?.date].map(Number)).toEqual([Number.NaN, Number.NaN, Number.NaN])
    expect([read.datetime, read.timestamptz, read.date].map(Number)).toEqual([Number.NaN, Number.NaN, Number.NaN])
  })

  test('a null inside of a list is a null', async ({ database }) => {
    expect(await decoded(database, 'ints', 'ints', ['{1,NULL,3}'])).toEqual([[1, null, 3]])
  })
})

describe('json that jsonb cannot hold', () => {
  test.for([false, true])('reaches the handler as Prisma reads it (in part: %s)', async (inPart, { database }) => {
    const { prisma, handled } = await listening(database, inPart ? { omit: { xml: true } } : {})
    const texts = ['{"nul": "\\u0000"}', '[1e200000]', '"\\ud800"', '{"deep": [{"\\u0000": 1}]}']
    const inserted = await database.sql(
      'insert into every_type ("json text", "string") select t::json, t from unnest($1::text[]) t returning id',
      [texts],
    )
    const ids = inserted.map(({ id }) => id)
    const read = await prisma.everyType.findMany({ orderBy: { id: 'asc' } })
    const omitted = inPart ? { xml: null } : {}
    expectSame(
      (await handled(ids)).map((row) => ({ ...row, ...omitted })),
      read,
      'text',
    )
  })

  test('is not confused with json of the user that looks like it', async ({ database }) => {
    const { prisma, handled } = await listening(database)
    const lookalikes = [{ '$pgpubsub:text': 'not json' }, { '$pgpubsub:text': '{"a":1}' }, { '$pgpubsub:text': 1 }]
    await prisma.everyType.createMany({ data: lookalikes.map((json) => ({ json, jsonText: json, jsons: [json] })) })
    const read = await prisma.everyType.findMany({ orderBy: { id: 'asc' } })
    expectSame(await handled(read.map(({ id }) => id)), read, 'lookalikes')
  })
})

describe('the names of changed fields', () => {
  test('tell numbers apart that a double cannot, and only what changed', async ({ database }) => {
    const prisma = database.prisma()
    const changes: (readonly string[])[] = []
    prisma.everyType.onPostUpdate('changes', ({ changed }) => changes.push(changed))
    await prisma.$pubsub.install()
    const { id } = await prisma.everyType.create({ data: { bigint: 2n ** 53n, decimals: ['0.1'], jsonText: [1] } })
    await prisma.everyType.update({ where: { id }, data: { bigint: 2n ** 53n + 1n, string: 'x' } })
    await prisma.everyType.update({ where: { id }, data: { decimals: ['0.100000000000000000000000000001'] } })
    await database.sql(`update every_type set "json text" = '"\\u0000"'`)
    await database.sql(`update every_type set "json text" = '"\\u0000\\u0000"'`)
    await prisma.$pubsub.listen()
    await database.drained()
    expect(changes).toEqual(
      [['bigint', 'string'], ['decimals'], ['jsonText'], ['jsonText']].map((names) => expect.arrayContaining(names)),
    )
    expect(changes.map(({ length }) => length)).toEqual([2, 1, 1, 1])
  })
})

describe('a change that waits while the table is migrated', () => {
  test('has null for columns that it did not have, and nothing of those that are gone', async ({ database }) => {
    const prisma = database.prisma()
    await database.sql(
      'alter table every_type drop column "json text", drop column moods, add column legacy int default 1',
    )
    const rows: object[] = []
    const names: string[] = []
    prisma.everyType.onPostUpdate('wait', (change) => {
      rows.push(change.old, change.new)
      names.push(...change.changed)
    })
    await prisma.$pubsub.install()
    await database.sql(`insert into every_type (string) values ('a')`)
    await database.sql(`update every_type set string = 'b', legacy = 2`)
    await prisma.$pubsub.listen()
    await database.drained()
    expect(rows).toMatchObject([
      { string: 'a', jsonText: null, moods: [] },
      { string: 'b', jsonText: null, moods: [] },
    ])
    for (const row of rows) expect(row).not.toHaveProperty('legacy')
    expect(names).toEqual(['string'])
  })
})

function expectSame(received: readonly EveryType[], read: readonly EveryType[], where: string) {
  for (const [index, row] of received.entries()) {
    expect(row, `seed ${seed}, ${where}, row ${index}`).toStrictEqual(read[index])
  }
}

function two(number: number): string {
  return String(number).padStart(2, '0')
}

/** jsonb has no -0. */
function floatText(value: number): string {
  return Object.is(value, -0) ? '0' : String(value)
}
