import { adapters, type RecordingClient, recordingClient } from './support/contexts.ts'
import { countingProxy } from './support/counting-proxy.ts'
import { describe, expect, type TestDatabase, test } from './support/test.ts'

type Operation = (prisma: RecordingClient) => PromiseLike<unknown>

const url = 'file:///a'

const reads: Record<string, Operation> = {
  findMany: (prisma) => prisma.media.findMany(),
  findFirst: (prisma) => prisma.media.findFirst({ where: { title: { contains: 'a', mode: 'insensitive' } } }),
  findUnique: (prisma) => prisma.media.findUnique({ where: { id: 1 } }),
  findUniqueOrThrow: (prisma) => prisma.media.findUniqueOrThrow({ where: { id: 1 } }),
  'findUnique, several at once': (prisma) =>
    Promise.all([1, 2, 3].map((id) => prisma.media.findUnique({ where: { id } }))),
  count: (prisma) => prisma.media.count({ where: { tags: { some: {} } } }),
  aggregate: (prisma) => prisma.media.aggregate({ _max: { id: true }, _avg: { ownerId: true } }),
  groupBy: (prisma) => prisma.media.groupBy({ by: ['status'], _count: true, orderBy: { status: 'asc' } }),
  'with relations': (prisma) => prisma.user.findMany({ include: { media: { include: { tags: true } }, _count: true } }),
  fluent: (prisma) => prisma.media.findUnique({ where: { id: 1 } }).tags(),
  'a batch of reads': (prisma) => prisma.$transaction([prisma.media.findMany(), prisma.media.count()]),
  'a transaction of reads': (prisma) =>
    prisma.$transaction(async (tx) => [await tx.media.findMany(), await tx.$queryRaw`select count(*) from media`]),
  'a raw select': (prisma) => prisma.$queryRaw`select id, upper(url) from media where id = ${1} for update`,
  'a raw with': (prisma) => prisma.$queryRawUnsafe('with m as (select max(id) as id from media) select * from m'),
}

const writes: Record<string, Operation> = {
  create: (prisma) => prisma.media.create({ data: { url } }),
  'nested create': (prisma) => prisma.media.create({ data: { url, tags: { create: { label: 'a' } } } }),
  createMany: (prisma) => prisma.media.createMany({ data: [{ url }, { url }] }),
  updateMany: (prisma) => prisma.media.updateMany({ where: { id: 1 }, data: { title: 'a' } }),
  deleteMany: (prisma) => prisma.media.deleteMany({ where: { id: -1 } }),
  $executeRaw: (prisma) => prisma.$executeRaw`update media set title = 'b' where id = ${1}`,
  'several statements': (prisma) =>
    prisma.$executeRawUnsafe('delete from tag where id = 1; delete from tag where id = 2'),
  $queryRaw: (prisma) => prisma.$queryRaw`insert into media (url) values (${url}) returning id`,
  batch: (prisma) =>
    prisma.$transaction([prisma.media.create({ data: { url } }), prisma.$executeRaw`delete from media where id = -1`]),
  transaction: (prisma) =>
    prisma.$transaction(async (tx) => {
      await tx.media.create({ data: { url } })
      await tx.media.findFirst()
      await tx.media.create({ data: { url } })
    }),
}

async function observed(database: TestDatabase, adapter: (typeof adapters)[number]) {
  const proxy = await countingProxy(database)
  const prisma = await recordingClient(database, { adapter, url: proxy.url, pool: { max: 1 } })
  // the first write with a context asks once what the adapter can do
  await prisma.$pubsub.withContext({ a: 1 }, () =>
    prisma.media.create({ data: { url, tags: { create: { label: 'a' } } } }),
  )
  /** The traffic of an operation without a context, and with one. */
  const compare = async (operation: Operation) => ({
    without: await proxy.traffic(() => operation(prisma)),
    within: await proxy.traffic(() => prisma.$pubsub.withContext({ a: 1 }, () => operation(prisma))),
  })
  return { prisma, proxy, compare }
}

describe.each(adapters)('with the %s adapter', (adapter) => {
  test('a read with a context sends what it sends without one', async ({ database }) => {
    const { compare } = await observed(database, adapter)
    for (const [name, read] of Object.entries(reads)) {
      const { without, within } = await compare(read)
      expect(without.statements, name).toBeGreaterThan(0)
      expect(within, name).toEqual(without)
    }
  })

  test('a write without a context costs nothing extra, also where contexts are used', async ({ database }) => {
    const bare = await observed(database, adapter)
    for (const [name, write] of Object.entries(writes)) {
      const first = await bare.proxy.traffic(() => write(bare.prisma))
      await bare.prisma.$pubsub.withContext({ a: 1 }, () => write(bare.prisma))
      expect(await bare.proxy.traffic(() => write(bare.prisma)), name).toEqual(first)
    }
  })
})

test('with the carrying adapter, a write with a context makes the round trips that it makes without one', async ({
  database,
}) => {
  const { compare } = await observed(database, 'carrying')
  for (const [name, write] of Object.entries(writes)) {
    const { without, within } = await compare(write)
    expect(within.roundTrips, name).toBe(without.roundTrips)
    if (name !== 'several statements') expect(within.statements, name).toBeGreaterThan(without.statements)
  }
})

test('with any other adapter, a write with a context costs a transaction around it, in a transaction one statement', async ({
  database,
}) => {
  const { compare } = await observed(database, 'plain')
  const extra: Record<string, number> = {}
  for (const [name, write] of Object.entries(writes)) {
    const { without, within } = await compare(write)
    extra[name] = within.roundTrips - without.roundTrips
  }
  const around = 3 // begin, set_config, commit
  expect(extra).toEqual({
    create: around,
    'nested create': 1,
    createMany: around,
    updateMany: around,
    deleteMany: around,
    $executeRaw: around,
    'several statements': around,
    $queryRaw: around,
    batch: 1,
    transaction: 1,
  })
})
