import type { Message } from '@pgpubsub/prisma-extension'
import { advance, drain, waitFor } from '@pgpubsub/prisma-extension/testing'
import { z } from 'zod'
import { gate } from './support/gate.ts'
import { noPoll } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const scanned = z.object({ mediaId: z.number(), note: z.string().default('none') })

const stored = async (database: TestDatabase) =>
  (await database.notifications()).map((row) => [row.listener, row.operation, row.new]).sort()

test('every listener of a channel gets a message of its own, typed, and nothing is stored afterwards', async ({
  database,
}) => {
  const prisma = database.prisma(noPoll)
  const channel = prisma.$pubsub.channel('media.scanned', scanned)
  const handled: unknown[] = []
  channel.on('mail', ({ payload, channel: from, listener, attempt, context, id, createdAt }) => {
    handled.push([listener, from, payload, attempt, context, typeof id, createdAt instanceof Date])
  })
  channel.on('log', ({ listener, payload }) => void handled.push([listener, payload.mediaId]))
  prisma.$pubsub.channel('other', scanned).on('other', () => handled.push('other'))
  await prisma.$pubsub.install()
  await prisma.$pubsub.withContext({ userId: 7 }, () => channel.publish({ mediaId: 1 }))
  expect(await stored(database)).toEqual([
    ['log', 'message', { mediaId: 1 }],
    ['mail', 'message', { mediaId: 1 }],
  ])
  await prisma.$pubsub.listen()
  await database.drained()
  expect(handled).toHaveLength(2)
  expect(handled).toContainEqual([
    ...['mail', 'media.scanned', { mediaId: 1, note: 'none' }, 1, { userId: 7 }, 'bigint', true],
  ])
  expect(handled).toContainEqual(['log', 1])
})

test('a message belongs to the transaction that it is published in, with the context of it', async ({ database }) => {
  const prisma = database.prisma()
  const channel = prisma.$pubsub.channel('media.scanned', scanned)
  channel.on('mail', () => {})
  await prisma.$pubsub.install()
  await prisma.$pubsub.withContext({ request: 'a' }, () =>
    prisma.$transaction(async (tx) => {
      await channel.publish({ mediaId: 1 }, { tx })
      await channel.publish({ mediaId: 2 }) // its own
      expect(await stored(database)).toEqual([['mail', 'message', { mediaId: 2 }]])
    }),
  )
  await expect(
    prisma.$transaction(async (tx) => {
      await channel.publish({ mediaId: 3 }, { tx })
      throw new Error('no')
    }),
  ).rejects.toThrow('no')
  const rows = (await database.notifications()).map((row) => [row.new.mediaId, row.context])
  expect(rows).toEqual([
    [1, { request: 'a' }],
    [2, { request: 'a' }],
  ])
})

test('with an adapter that carries no context the transaction has it all the same', async ({ database }) => {
  const prisma = database.prisma({ adapter: 'plain' })
  const channel = prisma.$pubsub.channel('media.scanned', scanned)
  channel.on('mail', () => {})
  await prisma.$pubsub.install()
  await prisma.$pubsub.withContext({ request: 'a' }, async () => {
    await prisma.$transaction((tx) => channel.publish({ mediaId: 1 }, { tx }))
    await channel.publish({ mediaId: 2 })
  })
  const contexts = (await database.notifications()).map((row) => row.context)
  expect(contexts).toEqual([{ request: 'a' }, { request: 'a' }])
})

test.for(['carrying', 'plain'] as const)(
  'a muted message is stored for nobody, with the adapter %s',
  async (adapter, { database }) => {
    const prisma = database.prisma({ adapter })
    const channel = prisma.$pubsub.channel('media.scanned', scanned)
    channel.on('mail', () => {})
    await prisma.$pubsub.install()
    const publish = async (mediaId: number) => {
      await channel.publish({ mediaId })
      await prisma.$transaction(async (tx) => {
        await channel.publish({ mediaId: mediaId + 1 }, { tx })
        await channel.publish({ mediaId: mediaId + 2 })
      })
    }
    await prisma.$pubsub.mute(() => publish(1))
    await prisma.$pubsub.withContext({ a: 1 }, () => prisma.$pubsub.mute(() => publish(1)))
    await publish(4)
    const stored = (await database.notifications()).map((row) => row.new.mediaId)
    expect(stored.sort()).toEqual([4, 5, 6])
  },
)

test('a sleeping worker is woken by a message, from TypeScript and from SQL, with every wake but never', async ({
  database,
}) => {
  const prisma = database.prisma(noPoll)
  const handled: unknown[] = []
  const channel = prisma.$pubsub.channel('media.scanned', scanned)
  for (const wake of ['idle', 'always'] as const) {
    channel.on({ name: wake, wake }, ({ payload, listener }) => handled.push([listener, payload.mediaId]))
  }
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  for (let mediaId = 1; mediaId <= 5; mediaId++) {
    if (mediaId % 2) await channel.publish({ mediaId })
    else await database.sql(`select pgpubsub.publish('media.scanned', $1)`, [{ mediaId }])
    await database.drained()
  }
  expect(handled).toHaveLength(10)
})

test('a handler may publish, and the message is handled without anything else waking the worker', async ({
  database,
}) => {
  const prisma = database.prisma(noPoll)
  const done: number[] = []
  const channel = prisma.$pubsub.channel('countdown', z.number())
  channel.on('plain', async ({ payload }) => {
    done.push(payload)
    if (payload > 0) await channel.publish(payload - 1)
  })
  const inside = prisma.$pubsub.channel('countdown in transactions', z.number())
  inside.on({ name: 'inside', transactional: true, client: prisma }, async ({ payload, tx }) => {
    done.push(payload)
    await tx.tag.count()
    if (payload > 10) await inside.publish(payload - 1, { tx })
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  await channel.publish(3)
  await inside.publish(13)
  await vi.waitFor(() => expect(done).toHaveLength(8))
  await database.drained()
  expect(done.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 10, 11, 12, 13])
})

test('a program that declares no listener publishes, and so does a message that nobody listens to', async ({
  database,
}) => {
  const consumer = database.prisma(noPoll)
  const handled: unknown[] = []
  consumer.$pubsub.channel('media.scanned', scanned).on('mail', ({ payload }) => handled.push(payload.mediaId))
  await consumer.$pubsub.install()
  await consumer.$pubsub.listen()
  const publisher = database.prisma()
  await publisher.$pubsub.channel('media.scanned', scanned).publish({ mediaId: 7 })
  await publisher.$pubsub.channel('unheard', z.string()).publish('anybody?')
  await vi.waitFor(() => expect(handled).toEqual([7]))
  await database.drained()
})

test('messages of one key are handled one after another, also while the first waits for its retry', async ({
  database,
}) => {
  const prisma = database.prisma({ defaults: { backoff: () => 100 } })
  const channel = prisma.$pubsub.channel('steps', z.number())
  const handled: Record<string, number[]> = { ordered: [], unordered: [] }
  for (const [name, order] of [
    ['ordered', 'key'],
    ['unordered', 'none'],
  ] as const) {
    channel.on({ name, order }, ({ payload, attempt }) => {
      if (payload === 1 && attempt === 1) throw new Error('later')
      handled[name]?.push(payload)
    })
  }
  await prisma.$pubsub.install()
  for (const step of [1, 2, 3]) await channel.publish(step, { key: 'a' })
  await channel.publish(4, { key: 'b' })
  await channel.publish(5)
  await prisma.$pubsub.listen()
  await database.drained()
  expect(handled.ordered?.filter((step) => step < 4)).toEqual([1, 2, 3])
  expect(handled.ordered?.at(-1)).toBe(3)
  expect(handled.unordered?.at(-1)).toBe(1)
})

test('leases, lists, attempts and dead letters are those of every listener', async ({ database }) => {
  const prisma = database.prisma({ defaults: { backoff: () => 1 } })
  const channel = prisma.$pubsub.channel('numbers', z.number())
  const lists: number[][] = []
  channel.on({ name: 'lists', batch: { size: 10 } }, (messages) => {
    lists.push(messages.map(({ payload }) => payload))
  })
  channel.on({ name: 'leased', lease: { seconds: 5 } }, () => {})
  channel.on({ name: 'failing', attempts: 2 }, ({ payload }) => {
    if (payload === 2) throw new Error('never')
  })
  await prisma.$pubsub.install()
  for (const number of [1, 2, 3]) await channel.publish(number)
  await prisma.$pubsub.listen()
  await database.drained()
  expect(lists.flat()).toEqual([1, 2, 3])
  const [dead, ...more] = await prisma.$pubsub.deadLetters.list()
  expect(more).toEqual([])
  expect(dead).toMatchObject({ listener: 'failing', operation: 'message', old: null, new: 2, attempts: 2 })
  const failed = vi.fn()
  prisma.$pubsub.on('failed', failed)
  await prisma.$pubsub.deadLetters.retry({ listener: 'failing' })
  await vi.waitFor(() => expect(failed).toHaveBeenLastCalledWith(expect.objectContaining({ dead: true })))
  expect(failed).toHaveBeenCalledTimes(2)
})

test('process() and the test kit handle messages too, and pass over broadcasts', async ({ database }) => {
  const prisma = database.prisma({ defaults: { backoff: () => 60_000 } })
  const channel = prisma.$pubsub.channel('numbers', z.number())
  channel.on('one', async ({ payload, attempt }) => {
    if (attempt === 1 && payload === 1) throw new Error('later')
    if (payload > 1) await channel.publish(payload - 1)
  })
  channel.on({ name: 'all', delivery: 'broadcast' }, () => {})
  await prisma.$pubsub.install()
  await channel.publish(3)
  expect(await prisma.$pubsub.process({ max: 1 })).toEqual({ processed: 1, remaining: 1 })
  await drain(prisma, { failures: 'return' })
  expect(await advance(prisma, 60_000)).toBe(1)
  const last = waitFor<Message<number>>(prisma, 'one', ({ payload }) => payload === 1)
  await drain(prisma)
  expect(await last).toMatchObject({ payload: 1, attempt: 2, channel: 'numbers' })
})

test('the core publishes in a transaction of pg, and stops a handler that is told to', async ({ database }) => {
  const core = database.core()
  const begun = gate()
  const channel = core.channel('numbers', z.number())
  channel.on('slow', async ({ signal }) => {
    begun.open()
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    throw new Error('stopped')
  })
  await core.install()
  const client = await database.pool.connect()
  await client.query('begin')
  await channel.publish(1, { tx: client })
  expect(await database.notifications()).toEqual([])
  await client.query('commit')
  client.release()
  const worker = await core.listen()
  await begun.opened
  await worker.stop({ graceMs: 0 })
  expect(await stored(database)).toEqual([['slow', 'message', 1]])
})
