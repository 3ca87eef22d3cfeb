import { z } from 'zod'
import { expect, test, vi } from './support/test.ts'

const scanned = z.object({ mediaId: z.number(), size: z.number().max(10) })
type Scanned = z.input<typeof scanned>

test('is refused at the call with what is wrong, and nothing is stored', async ({ database }) => {
  const prisma = database.prisma()
  const channel = prisma.$pubsub.channel('media.scanned', scanned)
  channel.on('a', () => {})
  const anything = prisma.$pubsub.channel('anything', z.any())
  anything.on('b', () => {})
  await prisma.$pubsub.install()
  const invalid = (text: string) => ({ code: 'PGPUBSUB_INVALID_MESSAGE', message: expect.stringContaining(text) })
  await expect(channel.publish({ mediaId: 'x', size: 11 } as never)).rejects.toMatchObject({
    ...invalid('mediaId: Invalid input: expected number, received string; size: Too big'),
    cause: [{ path: ['mediaId'] }, { path: ['size'] }],
  })
  await expect(prisma.$transaction((tx) => channel.publish({} as Scanned, { tx }))).rejects.toMatchObject(
    invalid('mediaId: '),
  )
  const itself: Record<string, unknown> = {}
  itself.itself = itself
  for (const [payload, text] of [
    [{ list: [() => {}] }, 'list.0 is a function'],
    [Symbol('s'), 'it is a symbol'],
    [{ at: new Date(Number.NaN) }, 'at is an invalid Date'],
    [{ url: new URL('http://x') }, 'url is an object of the class URL'],
    [{ 'a\0': 1 }, 'a name with a NUL character'],
    [itself, 'contains itself'],
  ] as const) {
    await expect(anything.publish(payload), text).rejects.toMatchObject(invalid(text))
  }
  for (const options of [{ tx: {} }, { key: 1 }, { order: 'key' }]) {
    await expect(anything.publish(1, options as never)).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  }
  expect(await database.notifications()).toEqual([])
})

test('becomes a dead letter at its first attempt, with the error of the schema, and delays nothing', async ({
  database,
}) => {
  const prisma = database.prisma({ defaults: { backoff: () => 600_000 } })
  const channel = prisma.$pubsub.channel('media.scanned', scanned)
  const handled: unknown[] = []
  channel.on('one', ({ payload }) => handled.push(payload.mediaId))
  channel.on({ name: 'inside', transactional: true }, ({ payload }) => handled.push(payload.mediaId))
  channel.on({ name: 'leased', lease: { seconds: 60 } }, ({ payload }) => handled.push(payload.mediaId))
  const failed = vi.fn()
  prisma.$pubsub.on('failed', failed)
  await prisma.$pubsub.install()
  await database.sql(`select pgpubsub.publish('media.scanned', p, 'key')
    from unnest(array['{"mediaId": "secret", "size": 1}', 'null', '{"$bigint": "x"}']::jsonb[]) p`)
  await channel.publish({ mediaId: 4, size: 1 }, { key: 'key' })
  await prisma.$pubsub.listen()
  await database.drained()
  expect(handled).toEqual([4, 4, 4])
  const dead = await prisma.$pubsub.deadLetters.list()
  expect(dead).toHaveLength(9)
  for (const { attempts, error, operation } of dead) {
    expect([attempts, operation]).toEqual([1, 'message'])
    expect(error).not.toContain('secret')
  }
  const errors = dead.filter(({ listener }) => listener === 'one').map(({ error }) => error)
  expect(errors).toEqual([
    expect.stringContaining('what stands in {"$bigint": …} is not of that kind'),
    expect.stringContaining('expected object, received null'),
    expect.stringContaining('mediaId: Invalid input: expected number, received string'),
  ])
  expect(failed.mock.calls[0]?.[0]).toMatchObject({ dead: true, error: { code: 'PGPUBSUB_UNREADABLE_MESSAGE' } })
})

test.for([{}, { transactional: true }, { lease: { seconds: 60 } }])(
  'fails alone in a list, whatever becomes of the others, with %j',
  async (options, { database }) => {
    const prisma = database.prisma({ defaults: { backoff: () => 1 } })
    const channel = prisma.$pubsub.channel('media.scanned', scanned)
    const lists: number[][] = []
    let failures = 0
    channel.on({ name: 'lists', batch: { size: 10 }, ...options }, (messages) => {
      lists.push(messages.map(({ payload }) => payload.mediaId))
      if (failures++ === 0) throw new Error('once')
    })
    await prisma.$pubsub.install()
    await channel.publish({ mediaId: 1, size: 1 })
    await database.sql(`select pgpubsub.publish('media.scanned', '{}')`)
    await channel.publish({ mediaId: 3, size: 1 })
    await prisma.$pubsub.listen()
    await database.drained()
    expect(lists.flat().sort()).toEqual(expect.arrayContaining([1, 1, 3, 3]))
    const dead = await prisma.$pubsub.deadLetters.list()
    expect(dead).toMatchObject([{ new: {}, attempts: 1, error: expect.stringContaining('mediaId: ') }])
  },
)

test('is dead after a deploy that changed the schema, and can be retried after the next', async ({ database }) => {
  const old = database.prisma()
  const before = old.$pubsub.channel('a', z.object({ title: z.string() }))
  before.on('a', () => {})
  await old.$pubsub.install()
  await before.publish({ title: 'x' })
  const strict = database.prisma()
  strict.$pubsub.channel('a', z.object({ title: z.number() })).on('a', () => {})
  const worker = await strict.$pubsub.listen()
  await database.drained()
  await worker.stop()
  const lenient = database.prisma()
  const handled: unknown[] = []
  lenient.$pubsub.channel('a', z.object({ title: z.coerce.string() })).on('a', ({ payload }) => handled.push(payload))
  await lenient.$pubsub.deadLetters.retry('all')
  await lenient.$pubsub.listen()
  await database.drained()
  expect(handled).toEqual([{ title: 'x' }])
})

test('declarations are checked at once', async ({ database }) => {
  const { $pubsub } = database.prisma()
  const channel = $pubsub.channel('a', scanned)
  expect($pubsub.channel('a', scanned).name).toBe('a')
  const code = (work: () => unknown) => {
    try {
      work()
    } catch (error) {
      return (error as { code?: string }).code
    }
  }
  expect(code(() => $pubsub.channel('a', z.any()))).toBe('PGPUBSUB_DUPLICATE_CHANNEL')
  const wrong: (() => unknown)[] = [
    () => $pubsub.channel('', scanned),
    () => $pubsub.channel('x'.repeat(64), scanned),
    () => $pubsub.channel('b', {} as never),
    () => channel.on('', () => {}),
    () => channel.on('b', undefined as never),
    () => channel.on({ name: 'b', order: 'row' as never }, () => {}),
    () => channel.on({ name: 'b', columns: ['x'] } as never, () => {}),
    () => channel.on({ name: 'b', transactional: true, client: {} }, () => {}),
    () => channel.on({ name: 'b', transactional: true, lease: { seconds: 1 } }, () => {}),
  ]
  for (const work of wrong) expect(code(work), String(work)).toBe('PGPUBSUB_INVALID_OPTION')
  channel.on('b', () => {})
  expect(code(() => channel.on('b', () => {}))).toBe('PGPUBSUB_DUPLICATE_LISTENER')
  const slow = $pubsub.channel(
    'slow',
    z.string().refine(async () => true),
  )
  await expect(slow.publish('x')).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  await expect(channel.publish({ mediaId: 1, size: 1 })).rejects.toMatchObject({ code: 'PGPUBSUB_NOT_INSTALLED' })
})
