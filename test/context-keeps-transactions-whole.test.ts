import { createHash } from 'node:crypto'
import { Prisma } from '../prisma/generated/client.ts'
import { adapters, newContexts, type RecordingClient, recordingClient } from './support/contexts.ts'
import { describe, expect, test } from './support/test.ts'

const url = 'file:///a'
const undo = new Error('undo')

type Operation = (prisma: RecordingClient) => PromiseLike<unknown>

const succeeding: Record<string, Operation> = {
  create: (prisma) => prisma.media.create({ data: { url } }),
  'create with select': (prisma) => prisma.media.create({ data: { url }, select: { url: true, tags: true } }),
  'nested create': (prisma) =>
    prisma.media.create({ data: { url, tags: { create: { label: 'a' } } }, include: { tags: true } }),
  createMany: (prisma) => prisma.media.createMany({ data: [{ url }, { url }] }),
  createManyAndReturn: (prisma) => prisma.media.createManyAndReturn({ data: [{ url }, { url: 'b' }] }),
  updateMany: (prisma) => prisma.media.updateMany({ where: { url: 'b' }, data: { title: 'c' } }),
  updateManyAndReturn: (prisma) => prisma.media.updateManyAndReturn({ where: { url: 'b' }, data: { title: 'd' } }),
  'deleteMany of nothing': (prisma) => prisma.media.deleteMany({ where: { url: 'none' } }),
  $executeRaw: (prisma) => prisma.$executeRaw`update media set title = 'e' where url = 'b' returning id`,
  $queryRaw: (prisma) =>
    prisma.$queryRaw`insert into media (url) values (${url}) returning url, 1::bigint as b, 1.50::numeric as n, null as z`,
  batch: (prisma) =>
    prisma.$transaction([
      prisma.media.create({ data: { url } }),
      prisma.$queryRaw`select 1 as one`,
      prisma.$executeRaw`update media set title = 'f' where url = 'none'`,
      prisma.media.findFirst({ where: { url: 'none' } }),
    ]),
  transaction: (prisma) =>
    prisma.$transaction(async (tx) => [await tx.media.create({ data: { url } }), await tx.media.count({ take: 1 })]),
}

const failing: Record<string, Operation> = {
  'a value that is taken': (prisma) => prisma.user.create({ data: { email: 'taken' } }),
  'a nested value that is taken': (prisma) =>
    prisma.media.create({ data: { url, owner: { create: { email: 'taken' } } } }),
  'a row that is not there': (prisma) => prisma.media.update({ where: { id: -1 }, data: { title: 'a' } }),
  'a relation that is not there': (prisma) => prisma.media.create({ data: { url, ownerId: -1 } }),
  'a null': (prisma) => prisma.$executeRaw`insert into media (url) values (${null})`,
  'a syntax error': (prisma) => prisma.$executeRawUnsafe('insert into media (url) valuse ($1)', url),
  'an error in one of several statements': (prisma) =>
    prisma.$executeRawUnsafe(`insert into media (url) values ('a'); insert into media (nope) values ('b')`),
  'a writing query that fails': (prisma) => prisma.$queryRaw`insert into media (url) values (${null}) returning id`,
  'an invalid argument': (prisma) => prisma.media.create({ data: { url, nope: 1 } as never }),
  'the third of a batch': (prisma) =>
    prisma.$transaction([
      prisma.media.create({ data: { url } }),
      prisma.media.findFirst(),
      prisma.user.create({ data: { email: 'taken' } }),
    ]),
  'the first of a batch': (prisma) =>
    prisma.$transaction([prisma.user.create({ data: { email: 'taken' } }), prisma.media.create({ data: { url } })]),
  'a batch of what are no Prisma promises': (prisma) => prisma.$transaction([Promise.resolve(1) as never]),
  'an operation in a transaction': (prisma) =>
    prisma.$transaction(async (tx) => {
      await tx.media.create({ data: { url } })
      await tx.user.create({ data: { email: 'taken' } })
    }),
  'a write in a transaction that has failed': (prisma) =>
    prisma.$transaction(async (tx) => {
      await tx.user.create({ data: { email: 'taken' } }).catch(() => {})
      await tx.media.create({ data: { url } })
    }),
  'an error of the user': (prisma) =>
    prisma.$transaction(async (tx) => {
      await tx.media.create({ data: { url } })
      throw undo
    }),
}

/** What the user sees of a result, without what differs from call to call. */
function comparable(result: unknown): unknown {
  const varying = ['id', 'mediaId', 'createdAt']
  return JSON.parse(
    JSON.stringify(result, (key, value) => {
      if (varying.includes(key)) return typeof value
      return typeof value === 'bigint' ? `${value}n` : value
    }) ?? 'null',
  )
}

async function errorOf(promise: PromiseLike<unknown>): Promise<unknown> {
  const error = await Promise.resolve(promise).then(
    () => expect.fail('it did not fail'),
    (error: Error) => error,
  )
  const { name, message, batchRequestIdx } = error as Error & { batchRequestIdx?: number }
  return { ...error, name, message, batchRequestIdx }
}

const nameOf = ({ sql }: { sql: string }) => createHash('md5').update(sql).digest('hex')

describe.each(adapters)('with the %s adapter', (adapter) => {
  test('a rolled back transaction with a context rolls back everything in it', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    const { $pubsub } = prisma
    await expect(
      $pubsub.withContext({ a: 1 }, () =>
        prisma.$transaction(async (tx) => {
          const media = await tx.media.create({ data: { url, tags: { create: { label: 'a' } } } })
          await $pubsub.withContext({ b: 2 }, () => tx.tag.create({ data: { label: 'b', mediaId: media.id } }))
          await tx.$executeRaw`insert into media (url) values (${url})`
          await tx.$queryRaw`insert into media (url) values (${url}) returning id`
          await tx.media.createMany({ data: [{ url }, { url }] })
          throw undo
        }),
      ),
    ).rejects.toBe(undo)
    expect([await prisma.media.count(), await prisma.tag.count()]).toEqual([0, 0])
    expect(await database.notifications()).toEqual([])
  })

  test('a transaction that withContext surrounds within it is rolled back as well', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    await expect(
      prisma.$transaction(async (tx) => {
        await tx.media.create({ data: { url } })
        await prisma.$pubsub.withContext({ a: 1 }, () => tx.media.create({ data: { url } }))
        throw undo
      }),
    ).rejects.toBe(undo)
    expect(await prisma.media.count()).toBe(0)
  })

  test('a failing batch with a context leaves nothing', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    await prisma.user.create({ data: { email: 'taken' } })
    const stored = newContexts(database)
    await stored()
    const batch = () =>
      prisma.$transaction([
        prisma.media.create({ data: { url } }),
        prisma.user.create({ data: { email: 'taken' } }),
        prisma.media.create({ data: { url } }),
      ])
    await expect(prisma.$pubsub.withContext({ a: 1 }, batch)).rejects.toMatchObject({ code: 'P2002' })
    expect(await prisma.media.count()).toBe(0)
    expect(await stored()).toEqual([])
  })

  test('a context set on a failed transaction neither breaks it further nor leaks out of it', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 1 } })
    const { $pubsub } = prisma
    await prisma.user.create({ data: { email: 'taken' } })
    const stored = newContexts(database)
    await stored()
    const failed = prisma.$transaction(async (tx) => {
      const taken = await tx.user.create({ data: { email: 'taken' } }).catch((error: unknown) => error)
      expect(await $pubsub.withContext({ a: 1 }, () => 'not a statement')).toBe('not a statement')
      const write = $pubsub.withContext({ a: 1 }, () => tx.media.create({ data: { url } }))
      await expect(write).rejects.toThrow(/current transaction is aborted/)
      throw taken
    })
    await expect(failed).rejects.toMatchObject({ code: 'P2002' })
    await prisma.media.create({ data: { url } })
    expect(await stored()).toEqual([{}])
  })

  test('results are the same with a context as without one', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    for (const [name, operation] of Object.entries(succeeding)) {
      await prisma.media.deleteMany()
      await prisma.media.createMany({ data: [{ url: 'b' }, { url: 'b' }] })
      const without = comparable(await operation(prisma))
      await prisma.media.deleteMany()
      await prisma.media.createMany({ data: [{ url: 'b' }, { url: 'b' }] })
      const within = comparable(await prisma.$pubsub.withContext({ a: 1 }, () => operation(prisma)))
      expect(within, name).toEqual(without)
    }
  })

  test('errors are the same with a context as without one, and nothing of the failed operation stays', async ({
    database,
  }) => {
    const prisma = await recordingClient(database, { adapter })
    await prisma.user.create({ data: { email: 'taken' } })
    for (const [name, operation] of Object.entries(failing)) {
      const without = await errorOf(operation(prisma))
      const within = await errorOf(prisma.$pubsub.withContext({ a: 1 }, () => operation(prisma)))
      expect(within, name).toEqual(without)
      expect(await prisma.media.count(), name).toBe(0)
    }
  })

  test('values of every kind arrive unchanged with a context', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    const data = {
      decimal: new Prisma.Decimal('12345678901234567890.123456789'),
      bigint: 9007199254740993n,
      bytes: new Uint8Array([0, 1, 255]),
      json: { a: ["it's", null, { b: 1.5 }] },
      datetime: new Date('2024-02-29T12:34:56.789Z'),
      strings: ['a', "it's", ''],
      bigints: [1n, -9007199254740993n],
      string: "'; drop table media; --",
    }
    const { id, ...written } = await prisma.$pubsub.withContext({ a: "it's $1 \\ 😀" }, () =>
      prisma.everyType.create({ data }),
    )
    expect(written).toMatchObject(data)
    expect(await prisma.everyType.findUnique({ where: { id } })).toMatchObject(data)
    await prisma.$pubsub.withContext({ a: "it's $1 \\ 😀" }, () => prisma.media.create({ data: { url } }))
    expect((await database.notifications())[0].context).toEqual({ a: "it's $1 \\ 😀" })
  })

  test('prepared statements work with a context, also after they have failed', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 1 }, statementNameGenerator: nameOf })
    const stored = newContexts(database)
    // Prisma names statements in transactions only
    const within = (n: number, work: (tx: Prisma.TransactionClient) => Promise<unknown>) =>
      prisma.$pubsub.withContext({ n }, () => prisma.$transaction(async (tx) => work(tx as never)))
    const taken = (tx: Prisma.TransactionClient) => tx.user.create({ data: { email: 'taken' } })
    await within(1, taken)
    for (const n of [2, 3]) {
      await expect(within(n, taken)).rejects.toMatchObject({ code: 'P2002' })
      await within(n, (tx) => tx.media.create({ data: { url } }))
    }
    await prisma.$transaction((tx) => tx.media.create({ data: { url } }))
    const invalid = (tx: Prisma.TransactionClient) => tx.$executeRaw`insert into nowhere values (${1})`
    for (const n of [4, 5]) await expect(within(n, invalid)).rejects.toThrow(/nowhere/)
    expect(await stored()).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }, {}])
  })

  test('a prepared statement first used in a failed transaction works later', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 1 }, statementNameGenerator: nameOf })
    const { $pubsub } = prisma
    const stored = newContexts(database)
    const failed = $pubsub.withContext({ n: 1 }, () =>
      prisma.$transaction(async (tx) => {
        await tx.$executeRaw`select 1 / 0`.catch(() => {})
        await tx.media.create({ data: { url } })
      }),
    )
    await expect(failed).rejects.toThrow(/current transaction is aborted/)
    await $pubsub.withContext({ n: 2 }, () => prisma.$transaction((tx) => tx.media.create({ data: { url } })))
    await prisma.media.create({ data: { url } })
    expect(await stored()).toEqual([{ n: 2 }, {}])
  })
})
