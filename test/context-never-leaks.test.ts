import fc from 'fast-check'
import { adapters, newContexts, type RecordingClient, recordingClient } from './support/contexts.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const url = 'file:///a'

/** One request: everything that it writes has its mark in the row, to be compared with the context that was stored. */
type Request = (prisma: RecordingClient, mark: string) => PromiseLike<unknown>

const requests: Record<string, Request> = {
  create: (prisma, title) => prisma.media.create({ data: { url, title } }),
  createMany: (prisma, title) => prisma.media.createMany({ data: [{ url, title }] }),
  nested: (prisma, title) =>
    prisma.media.create({ data: { url, title, tags: { create: [{ label: title }, { label: title }] } } }),
  raw: (prisma, title) => prisma.$executeRaw`insert into media (url, title) values (${url}, ${title})`,
  'raw returning': (prisma, title) =>
    prisma.$queryRaw`with m as (insert into media (url, title) values (${url}, ${title}) returning id) select * from m`,
  reads: (prisma) =>
    Promise.all([
      prisma.media.findUnique({ where: { id: 1 } }),
      prisma.media.findUnique({ where: { id: 2 } }),
      prisma.media.findMany({ take: 1, include: { tags: true } }),
      prisma.$queryRaw`select 1`,
      prisma.$transaction([prisma.media.count(), prisma.tag.count()]),
    ]),
  batch: (prisma, title) =>
    prisma.$transaction([
      prisma.media.findFirst(),
      prisma.media.create({ data: { url, title } }),
      prisma.$executeRaw`insert into media (url, title) values (${url}, ${title})`,
    ]),
  transaction: (prisma, title) =>
    prisma.$transaction(async (tx) => {
      await tx.media.findUnique({ where: { id: 1 } })
      await tx.media.create({ data: { url, title } })
      await tx.media.findMany({ take: 1 })
      await tx.media.create({ data: { url, title, tags: { create: { label: title } } } })
    }),
  'transaction with parallel operations': (prisma, title) =>
    prisma.$transaction((tx) =>
      Promise.all([
        tx.media.create({ data: { url, title } }),
        tx.media.findUnique({ where: { id: 1 } }),
        tx.media.findUnique({ where: { id: 2 } }),
        tx.$executeRaw`insert into media (url, title) values (${url}, ${title})`,
      ]),
    ),
  'transaction with a savepoint': (prisma, title) =>
    prisma.$transaction(async (tx) => {
      await tx
        .$transaction(async (nested) => {
          await nested.media.create({ data: { url, title } })
          throw new Error('undone')
        })
        .catch(() => {})
      await tx.media.create({ data: { url, title } })
    }),
  'failing create': (prisma, name) => prisma.user.create({ data: { email: 'taken', name } }).catch(() => {}),
  'failing statement': (prisma, title) =>
    prisma.$executeRaw`insert into media (url, title) values (null, ${title})`.catch(() => {}),
  'failing batch': (prisma, name) =>
    prisma
      .$transaction([
        prisma.media.create({ data: { url, title: name } }),
        prisma.user.create({ data: { email: 'taken', name } }),
      ])
      .catch(() => {}),
  'rolled back transaction': (prisma, title) =>
    prisma
      .$transaction(async (tx) => {
        await tx.media.create({ data: { url, title } })
        throw new Error('rolled back')
      })
      .catch(() => {}),
  'failed transaction': (prisma, title) =>
    prisma
      .$transaction(async (tx) => {
        await tx.media.create({ data: { url, title } })
        await tx.user.create({ data: { email: 'taken' } }).catch(() => {})
        await tx.media.create({ data: { url, title } })
      })
      .catch(() => {}),
}

const kinds = Object.keys(requests)

interface Step {
  kind: string
  /** The number of the request's context; 0 for none. */
  context: number
  /** How many turns of the event loop it starts after the others. */
  delay: number
}

const step = fc.record<Step>({
  kind: fc.oneof(fc.constantFrom(...kinds), fc.constantFrom('batch', 'reads', 'transaction')),
  context: fc.integer({ min: 0, max: 3 }),
  delay: fc.integer({ min: 0, max: 3 }),
})

async function run(prisma: RecordingClient, { kind, context, delay }: Step): Promise<void> {
  for (let turn = 0; turn < delay; turn++) await new Promise(setImmediate)
  const request = () => requests[kind]?.(prisma, `${context}`)
  if (context === 0) await request()
  else await prisma.$pubsub.withContext({ number: context }, async () => void (await request()))
}

/** Every stored change has the context of the request that it came from. */
async function expectOwnContexts(database: TestDatabase): Promise<number> {
  const rows = await database.sql(`
    select coalesce(new ->> 'title', new ->> 'label', new ->> 'name') as mark, context from pgpubsub.notification`)
  const wrong = rows.filter(({ mark, context }) => (context.number ?? 0) !== Number(mark))
  expect(wrong).toEqual([])
  return rows.length
}

/** What the next user of each of Prisma's connections would find there. */
async function leftOnConnections(prisma: RecordingClient, connections: number): Promise<unknown[]> {
  const looks = Array.from(
    { length: connections },
    () => prisma.$queryRaw<{ left: string | null }[]>`
      select current_setting('pgpubsub.notification_context', true) as left, pg_sleep(0.01)::text`,
  )
  return (await Promise.all(looks)).map(([row]) => row?.left || null)
}

/** A promise for each of several parties, all resolved in the same tick: when the last of them has asked. */
function startTogether(parties: number): () => Promise<void> {
  const waiting: (() => void)[] = []
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve)
      if (waiting.length === parties) for (const go of waiting) go()
    })
}

/** Still the same tick, but behind what the reads do in it. */
async function microtasks(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await null
}

const patient = { maxWait: 20_000, timeout: 20_000 }

describe.each(adapters)('with the %s adapter', (adapter) => {
  test.for([1, 2, 3])(
    'requests in any interleaving keep their own contexts, on a pool of %i',
    async (max, { database }) => {
      const prisma = await recordingClient(database, { adapter, pool: { max }, transactionOptions: patient })
      await prisma.user.create({ data: { email: 'taken', name: '0' } })
      await prisma.media.createMany({
        data: [
          { url, title: '0' },
          { url, title: '0' },
        ],
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 2, maxLength: 16 }), async (steps) => {
          await Promise.all(steps.map((each) => run(prisma, each)))
          await expectOwnContexts(database)
          expect(await leftOnConnections(prisma, max)).toEqual(Array(max).fill(null))
        }),
        { numRuns: 20, endOnFailure: true },
      )
    },
  )

  test('operations that Prisma hands to the driver together keep their own contexts', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 12 }, transactionOptions: patient })
    const inContext = (context: number, work: () => Promise<unknown>) =>
      context === 0 ? work() : prisma.$pubsub.withContext({ number: context }, work)
    for (let round = 0; round < 6; round++) {
      const parties = 8
      const start = startTogether(parties)
      // what comes first in the tick is a read: everything else of the tick is dispatched in its asynchronous context
      const read = (context: number) =>
        inContext(context, async () => {
          await start()
          await prisma.media.findUnique({ where: { id: 1 } })
        })
      const transaction = (context: number) =>
        inContext(context, () =>
          prisma.$transaction(async (tx) => {
            await start()
            await microtasks()
            await tx.media.create({ data: { url, title: `${context}` } })
          }),
        )
      const batch = (context: number) =>
        inContext(context, async () => {
          await start()
          await microtasks()
          await prisma.$transaction([prisma.media.create({ data: { url, title: `${context}` } })])
        })
      const first = round % 2 ? [read(4), read(0)] : [transaction(5), batch(6)]
      await Promise.all([...first, transaction(1), batch(0), transaction(0), batch(2), transaction(3), read(7)])
    }
    expect(await expectOwnContexts(database)).toBe(6 * 5 + 3 * 2)
  })

  test('two hundred requests at once, of every kind, keep their own contexts', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 3 }, transactionOptions: patient })
    await prisma.user.create({ data: { email: 'taken', name: '0' } })
    const all = Array.from({ length: 200 }, (_, number) => ({
      kind: kinds[number % kinds.length] as string,
      context: Math.floor(number / kinds.length) % 10,
      delay: 0,
    }))
    await Promise.all(all.map((each) => run(prisma, each)))
    expect(await expectOwnContexts(database)).toBeGreaterThan(150)
  })

  test('after a request of any kind with a context, the next user of its connection finds none', async ({
    database,
  }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 1 } })
    await prisma.user.create({ data: { email: 'taken', name: '0' } })
    const stored = newContexts(database)
    await stored()
    for (const kind of kinds) {
      await run(prisma, { kind, context: 1, delay: 0 })
      const contexts = await stored()
      expect(contexts, kind).toEqual(contexts.map(() => ({ number: 1 })))

      expect(await leftOnConnections(prisma, 1), kind).toEqual([null])
      await prisma.media.create({ data: { url } })
      await prisma.$transaction([prisma.media.create({ data: { url } })])
      await prisma.$transaction((tx) => tx.media.create({ data: { url } }))
      expect(await stored(), kind).toEqual([{}, {}, {}])
    }
  })

  test('a transaction that ran out of time leaves no context', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 1 } })
    const late = prisma.$pubsub.withContext({ a: 1 }, () =>
      prisma.$transaction(
        async (tx) => {
          await tx.media.create({ data: { url } })
          await tx.$queryRaw`select pg_sleep(0.4)::text`
          await tx.media.create({ data: { url } })
        },
        { timeout: 100 },
      ),
    )
    await expect(late).rejects.toMatchObject({ code: 'P2028' })
    await prisma.media.create({ data: { url } })
    const rows = await database.notifications()
    expect(rows.map((row) => row.context)).toEqual([{}])
  })

  test('a connection killed in the middle of a write leaves no context to the next one', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 1 } })
    const killed = prisma.$pubsub.withContext({ a: 1 }, () =>
      prisma.$executeRaw`insert into media (url) select pg_sleep(20)::text`.catch((error: unknown) => error),
    )
    await vi.waitFor(async () => {
      const [{ count }] = await database.sql(`
        select count(pg_terminate_backend(pid))::int from pg_stat_activity
        where datname = current_database() and state = 'active' and query like 'insert into media (url) select pg_sleep%'`)
      expect(count).toBe(1)
    })
    expect(await killed).toBeInstanceOf(Error)
    await vi.waitFor(() => prisma.media.create({ data: { url } }), { timeout: 10_000 })
    expect((await database.notifications()).map((row) => row.context)).toEqual([{}])
    await prisma.$pubsub.withContext({ b: 2 }, () => prisma.media.create({ data: { url } }))
    expect((await database.notifications()).map((row) => row.context)).toEqual([{}, { b: 2 }])
  })
})
