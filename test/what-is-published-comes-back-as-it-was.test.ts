import fc from 'fast-check'
import { z } from 'zod'
import { Prisma } from '../prisma/generated/client.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const Decimal = Prisma.Decimal

/** Publishes all of them on a channel with that schema, and gives what its handler was given. */
async function handledBy<S extends z.ZodType>(
  database: TestDatabase,
  schema: S,
  payloads: readonly z.input<S>[],
): Promise<z.output<S>[]> {
  const prisma = database.prisma()
  const channel = prisma.$pubsub.channel('a', schema)
  const handled: { id: bigint; payload: unknown }[] = []
  channel.on({ name: 'a', batch: { size: 1000 } }, (messages) => void handled.push(...messages))
  await prisma.$pubsub.install()
  const worker = await prisma.$pubsub.listen()
  const publishing = prisma.$transaction(
    async (tx) => {
      for (const payload of payloads) await channel.publish(payload, { tx })
    },
    { timeout: 60_000 },
  )
  await publishing
  await vi.waitFor(() => expect(handled).toHaveLength(payloads.length), { timeout: 20_000 })
  await worker.stop()
  return handled.sort((a, b) => (a.id < b.id ? -1 : 1)).map(({ payload }) => payload as z.output<S>)
}

const everyKind = z.object({
  date: z.date(),
  bigint: z.bigint(),
  byDate: z.map(z.date(), z.string()),
  byNumber: z.map(z.number(), z.map(z.boolean(), z.bigint())),
  numbers: z.set(z.number()),
  decimal: z.instanceof(Decimal),
  bytes: z.instanceof(Uint8Array),
  tuple: z.tuple([z.string(), z.date().optional(), z.null()]),
  optional: z.bigint().optional(),
  nullable: z.date().nullable(),
  defaulted: z.number().default(7),
  either: z.union([z.string(), z.date(), z.number(), z.object({ $date: z.string() })]),
  shape: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('circle'), radius: z.number() }),
    z.object({ kind: z.literal('line'), ends: z.array(z.tuple([z.bigint(), z.bigint()])) }),
  ]),
  nested: z.array(z.object({ when: z.date(), tags: z.set(z.string()) })),
  number: z
    .union([z.number(), z.nan(), z.literal([Infinity, -Infinity])])
    .or(z.custom<number>((n) => typeof n === 'number')),
  text: z.string(),
})

test('every kind of value comes back as it was published, with the defaults of the schema', async ({ database }) => {
  const payload: z.input<typeof everyKind> = {
    date: new Date('2026-01-31T12:00:00.123Z'),
    bigint: 2n ** 80n,
    byDate: new Map([[new Date(0), 'then']]),
    byNumber: new Map([[1.5, new Map([[true, -1n]])]]),
    numbers: new Set([3, 1, 2]),
    decimal: new Decimal('12345678901234567890.123456789'),
    bytes: new Uint8Array([0, 255, 7]),
    tuple: ['a', undefined, null],
    nullable: null,
    either: { $date: 'no date' },
    shape: { kind: 'line', ends: [[1n, 2n]] },
    nested: [{ when: new Date(1), tags: new Set(["it's", '\\u0000', '"$date"']) }],
    number: Number.NaN,
    text: "'; drop schema pgpubsub cascade; -- \0 \ud800 🙂",
  }
  const others = [Infinity, -Infinity, -0, 1e300, 5e-324].map((number) => ({ ...payload, number, optional: 5n }))
  const handled = await handledBy(database, everyKind, [payload, ...others])
  expect(handled).toEqual([payload, ...others].map((published) => ({ ...published, defaulted: 7 })))
  expect(Decimal.isDecimal(handled[0]?.decimal)).toBe(true)
  expect(Object.is(handled[3]?.number, -0)).toBe(true)
})

const key = fc.oneof(fc.date({ noInvalidDate: true }), fc.double(), fc.boolean(), fc.string({ unit: 'binary' }))
const memberName = fc.oneof(
  fc.string(),
  fc.constantFrom('$date', '$', '$map', '$undefined', '__proto__', 'constructor'),
)
const { payload: anything } = fc.letrec((tie) => ({
  payload: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    fc.oneof(
      ...[
        fc.string({ unit: 'binary' }),
        fc.double(),
        fc.bigInt(),
        fc.boolean(),
        fc.constant(null),
        fc.constant(undefined),
      ],
      ...[fc.date({ noInvalidDate: true }), fc.uint8Array({ maxLength: 20 })],
      fc.bigInt().map((digits) => new Decimal(`${digits}e-7`)),
    ),
    fc.array(tie('payload'), { maxLength: 4 }),
    fc.dictionary(
      memberName,
      tie('payload').filter((value) => value !== undefined),
      { maxKeys: 4 },
    ),
    fc.array(tie('payload'), { maxLength: 4 }).map((elements) => new Set(elements)),
    fc.array(fc.tuple(key, tie('payload')), { maxLength: 4 }).map((entries) => new Map(entries)),
  ),
}))

test('whatever can be generated comes back as it was, under a schema that takes anything', async ({ database }) => {
  const payloads = fc.sample(anything, 400)
  expect(await handledBy(database, z.any(), payloads)).toEqual(payloads)
})

test('what plain JSON has no form for is understood from SQL in its natural one, and in ours', async ({ database }) => {
  const prisma = database.prisma()
  const handled: unknown[] = []
  const schema = z.object({
    at: z.date(),
    id: z.bigint(),
    tags: z.set(z.string()),
    counts: z.map(z.string(), z.number()),
    bytes: z.instanceof(Uint8Array),
    either: z.union([z.object({ at: z.date() }), z.number()]),
    price: z.instanceof(Decimal),
  })
  prisma.$pubsub.channel('from.sql', schema).on('a', ({ payload, context }) => handled.push(payload, context))
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  await database.sql(`begin; set local pgpubsub.notification_context = '{"by": "psql"}';
    select pgpubsub.publish('from.sql', jsonb_build_object(
      'at', '2026-01-31T12:00:00+00:00'::timestamptz, 'id', 9007199254740993::text, 'tags', '["a", "b"]'::jsonb,
      'counts', '{"a": 1}'::jsonb, 'bytes', '\\x00ff'::bytea, 'either', '{"at": "2026-01-31"}'::jsonb,
      'price', '{"$decimal": "1.10"}'::jsonb)); commit`)
  await database.drained()
  expect(handled).toEqual([
    {
      at: new Date('2026-01-31T12:00:00Z'),
      id: 9007199254740993n,
      tags: new Set(['a', 'b']),
      counts: new Map([['a', 1]]),
      bytes: new Uint8Array([0, 255]),
      either: { at: new Date('2026-01-31') },
      price: new Decimal('1.1'),
    },
    { by: 'psql' },
  ])
})
