import type { PostInsert } from '@pgpubsub/prisma-extension'
import { advance, drain, waitFor } from '@pgpubsub/prisma-extension/testing'
import { untilAsleep } from './support/asleep.ts'
import { gate } from './support/gate.ts'
import { noPoll } from './support/items.ts'
import { describe, expect, type TestClient, test, vi } from './support/test.ts'

type NewMedia = PostInsert<TestClient['media']>

const createMedia = (prisma: TestClient, title: string) => prisma.media.create({ data: { url: 'x', title } })
/** Listens to new media; the handler tells when it has begun, and ends when the test lets it. */
function holdMedia(prisma: TestClient, options: { name: string; lease?: { seconds: number } }) {
  const gates = { begun: gate(), held: gate() }
  prisma.media.onPostInsert(options, async () => {
    gates.begun.open()
    await gates.held.opened
  })
  return gates
}

const minute = { backoff: { type: 'fixed', firstMs: 60_000, jitter: 0 } } as const

describe('drain()', () => {
  test('handles all that is ready, what handlers write included, and tells how much', async ({ database }) => {
    const prisma = database.prisma()
    const labels: string[] = []
    prisma.tag.onPostInsert('label', ({ new: tag }) => void labels.push(tag.label))
    prisma.media.onPostInsert('tag', async ({ new: media }) => {
      await prisma.tag.create({ data: { label: `of ${media.title}`, mediaId: media.id } })
    })
    await prisma.$pubsub.install()
    expect(await drain(prisma)).toEqual({ processed: 0, failures: [] })
    await createMedia(prisma, 'a')
    await createMedia(prisma, 'b')
    expect(await drain(prisma, { listeners: ['tag'] })).toEqual({ processed: 2, failures: [] })
    expect(labels).toEqual([])
    expect(await drain(prisma)).toEqual({ processed: 2, failures: [] })
    expect(labels).toEqual(['of a', 'of b'])
  })

  test('throws what handlers have thrown, unless it is told to return it', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostInsert({ name: 'scan', attempts: 2, ...minute }, ({ new: media }) => {
      if (media.title !== 'fine') throw new Error(`no ${media.title}`)
    })
    await prisma.$pubsub.install()
    await createMedia(prisma, 'cat')
    await createMedia(prisma, 'fine')
    await expect(drain(prisma)).rejects.toMatchObject({
      code: 'PGPUBSUB_HANDLER_FAILED',
      message: expect.stringMatching(/"scan", change \d+, attempt 1: Error: no cat/),
      cause: { message: 'no cat' },
    })
    expect(await database.notifications()).toHaveLength(1)
    expect(await advance(prisma, 60_000)).toBe(1)
    await createMedia(prisma, 'dog')
    const { processed, failures } = await drain(prisma, { failures: 'return' })
    expect(processed).toBe(2)
    expect(failures).toMatchObject([
      { attempt: 2, dead: true, error: { message: 'no cat' } },
      { attempt: 1, dead: false, error: { message: 'no dog' } },
    ])
    await createMedia(prisma, 'bird')
    await createMedia(prisma, 'fish')
    const { cause } = await drain(prisma).catch((error) => error)
    expect(cause.errors.map(({ message }: Error) => message).sort()).toEqual(['no bird', 'no fish'])
  })

  test('waits for what a worker has in hand, and gives up after timeoutMs', async ({ database }) => {
    const prisma = database.prisma()
    const { begun, held } = holdMedia(prisma, { name: 'scan' })
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    await createMedia(prisma, 'a')
    await begun.opened
    await expect(drain(prisma, { timeoutMs: 100 })).rejects.toMatchObject({ code: 'PGPUBSUB_TIMEOUT' })
    const drained = drain(prisma)
    held.open()
    await drained
    expect(await database.notifications()).toEqual([])
  })

  test('gives up on handlers that write what they are given again', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostInsert('copy', ({ new: media }) => createMedia(prisma, `${media.title}'`))
    await prisma.$pubsub.install()
    await createMedia(prisma, 'a')
    await expect(drain(prisma, { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'PGPUBSUB_TIMEOUT',
      message: expect.stringContaining('again'),
    })
  })
})

describe('waitFor()', () => {
  test.for([{}, { transactional: true }, { lease: { seconds: 60 } }] as const)(
    'resolves with the first change that fits, once it is handled and committed: %o',
    async (options, { database }) => {
      const prisma = database.prisma()
      prisma.media.onPostInsert({ name: 'scan', ...options }, () => {})
      await prisma.$pubsub.install()
      await prisma.$pubsub.listen()
      const second = waitFor<NewMedia>(prisma, 'scan', ({ new: media }) => media.title === 'b')
      const first = waitFor(prisma, 'scan')
      for (const title of ['a', 'b', 'c']) {
        await createMedia(prisma, title)
        await database.drained()
      }
      expect((await second).new.title).toBe('b')
      expect((await first).new).toMatchObject({ title: 'a', createdAt: expect.any(Date) })
    },
  )

  test('does not take an attempt that fails for one that handles', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostInsert({ name: 'scan', ...minute }, ({ attempt }) => {
      if (attempt === 1) throw new Error('once')
    })
    await prisma.$pubsub.install()
    const handled = waitFor<NewMedia>(prisma, 'scan')
    await createMedia(prisma, 'a')
    await drain(prisma, { failures: 'return' })
    await advance(prisma, 60_000, { listeners: ['scan'] })
    await drain(prisma)
    expect(await handled).toMatchObject({ attempt: 2, new: { title: 'a' } })
  })

  test('finds a change in the list of a batch', async ({ database }) => {
    const prisma = database.prisma()
    const sizes: number[] = []
    prisma.media.onPostInsert(
      { name: 'index', batch: { size: 10, maxWaitMs: 60_000 } },
      (changes) => void sizes.push(changes.length),
    )
    await prisma.$pubsub.install()
    const indexed = waitFor<NewMedia>(prisma, 'index', ({ new: media }) => media.title === 'b')
    for (const title of ['a', 'b', 'c']) await createMedia(prisma, title)
    await drain(prisma)
    expect((await indexed).new.title).toBe('b')
    expect(sizes).toEqual([3])
  })

  test('says why it has waited in vain', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostInsert({ name: 'scan', attempts: 1 }, ({ new: media }) => {
      if (media.title === 'bad') throw new Error('it is bad')
    })
    await prisma.$pubsub.install()
    await expect(waitFor(prisma, 'scam')).rejects.toMatchObject({ code: 'PGPUBSUB_UNKNOWN_LISTENER' })
    await expect(waitFor(prisma, 'scan', () => true, { timeoutMs: 1 })).rejects.toMatchObject({
      code: 'PGPUBSUB_TIMEOUT',
      message: expect.stringContaining('listen()'),
    })
    const inVain = waitFor<NewMedia>(prisma, 'scan', ({ new: media }) => media.title === 'other', { timeoutMs: 1000 })
    const told = expect(inVain).rejects.toMatchObject({
      code: 'PGPUBSUB_TIMEOUT',
      message: expect.stringContaining('1 that it has handled do not fit, and 1 attempts have failed'),
      cause: { message: 'it is bad' },
    })
    const thrown = waitFor(prisma, 'scan', () => {
      throw new Error('a mistake in the test')
    })
    const mistaken = expect(thrown).rejects.toThrow('a mistake in the test')
    await createMedia(prisma, 'good')
    await createMedia(prisma, 'bad')
    await drain(prisma, { failures: 'return' })
    await mistaken
    await told
  })
})

describe('advance()', () => {
  test('makes due what waits for a retry within that time, and nothing else', async ({ database }) => {
    const prisma = database.prisma()
    const attempts: unknown[] = []
    prisma.media.onPostInsert({ name: 'scan', backoff: (attempt) => attempt * 60_000 }, ({ new: media, attempt }) => {
      attempts.push([media.title, attempt])
      throw new Error('again')
    })
    prisma.media.onPostInsert({ name: 'other', ...minute }, () => {
      throw new Error('again')
    })
    await prisma.$pubsub.install()
    const scan = { listeners: ['scan'] }
    await createMedia(prisma, 'a')
    await drain(prisma, { failures: 'return' })
    expect(await advance(prisma, 59_000, scan)).toBe(0)
    expect(await drain(prisma)).toEqual({ processed: 0, failures: [] })
    expect(await advance(prisma, 1_000, scan)).toBe(1)
    await drain(prisma, { failures: 'return' })
    expect(await advance(prisma, 60_000)).toBe(1) // the other listener's
    expect(await advance(prisma, 60_000, scan)).toBe(1)
    await drain(prisma, { failures: 'return', ...scan })
    expect(attempts).toEqual([1, 2, 3].map((attempt) => ['a', attempt]))
    for (const milliseconds of [0, -1, 1.5, '1']) {
      await expect(advance(prisma, milliseconds as number)).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
    }
    await expect(advance(prisma, 1, { listeners: ['scam'] })).rejects.toMatchObject({
      code: 'PGPUBSUB_UNKNOWN_LISTENER',
    })
  })

  test('wakes workers, and leaves alone what is leased to a handler that runs', async ({ database }) => {
    const prisma = database.prisma(noPoll)
    const handled: unknown[] = []
    const lost = vi.fn()
    prisma.$pubsub.on('leaseLost', lost)
    prisma.media.onPostInsert({ name: 'retried', ...minute }, ({ attempt }) => {
      handled.push(attempt)
      if (attempt === 1) throw new Error('once')
    })
    const { begun, held } = holdMedia(prisma, { name: 'leased', lease: { seconds: 30 } })
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    await createMedia(prisma, 'a')
    await begun.opened
    await vi.waitFor(() => expect(handled).toEqual([1]))
    await untilAsleep(database, 2)
    expect(await advance(prisma, 60_000)).toBe(1)
    await vi.waitFor(() => expect(handled).toEqual([1, 2]))
    held.open()
    await database.drained()
    expect(lost).not.toHaveBeenCalled()
  })
})
