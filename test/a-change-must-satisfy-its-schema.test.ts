import { PubSub, type StandardSchema, silentLogger, type Upcast } from '@pgpubsub/core'
import { drain as drainEngine } from '@pgpubsub/core/testing'
import { drain } from '@pgpubsub/prisma-extension/testing'
import pg from 'pg'
import { z } from 'zod'
import { createItems } from './support/items.ts'
import { describe, expect, type TestClient, type TestDatabase, test } from './support/test.ts'

const titled = z.object({ new: z.object({ id: z.number(), title: z.string().min(2) }) })

const createMedia = (prisma: TestClient, ...titles: (string | null)[]) =>
  prisma.media.createMany({ data: titles.map((title) => ({ url: 'x', title })) })

const ways = { plain: {}, leased: { lease: { seconds: 60 } }, transactional: { transactional: true } } as const

describe.for(Object.entries(ways))('with a %s listener', ([, way]) => {
  test('one that does not satisfy it is a dead letter at once, with the error of the schema', async ({ database }) => {
    const prisma = database.prisma()
    const titles: string[] = []
    prisma.media.onPostInsert({ name: 'index', schema: titled, ...way }, (change) => void titles.push(change.new.title))
    await prisma.$pubsub.install()
    await createMedia(prisma, 'cat', null, 'x', 'dog')
    const { processed, failures } = await drain(prisma, { failures: 'return' })
    expect([processed, titles]).toEqual([4, ['cat', 'dog']])
    expect(failures).toMatchObject(
      Array(2).fill({ attempt: 1, dead: true, error: { code: 'PGPUBSUB_INVALID_CHANGE', cause: expect.anything() } }),
    )
    const letters = await prisma.$pubsub.deadLetters.list()
    expect(letters).toMatchObject([
      { attempts: 1, new: { title: 'x' } },
      { attempts: 1, new: { title: null } },
    ])
    expect(letters[0]?.error).toContain('new.title: Too small')
    expect(letters[1]?.error).toContain('new.title: Invalid input: expected string, received null')
    expect(await database.notifications()).toEqual([])
  })

  test('what does not satisfy it is kept out of a list, and the others are given together', async ({ database }) => {
    const prisma = database.prisma()
    const lists: unknown[] = []
    prisma.media.onPostInsert({ name: 'index', schema: titled, batch: { size: 100 }, ...way }, (changes) => {
      lists.push(changes.map(({ new: media }) => media.title))
    })
    await prisma.$pubsub.install()
    await createMedia(prisma, 'cat', null, 'dog', '', 'bird')
    expect(await drain(prisma, { failures: 'return' })).toMatchObject({ processed: 5 })
    expect(lists).toEqual([['cat', 'dog', 'bird']])
    expect(await prisma.$pubsub.deadLetters.list()).toHaveLength(2)
  })
})

test('the handler is given what the schema makes of the change, and the rest of it as it was', async ({ database }) => {
  const prisma = database.prisma()
  const schema = z.object({
    new: z.object({ url: z.url().transform((url) => new URL(url)), title: z.string().default('untitled') }).loose(),
    context: z.object({ userId: z.coerce.number() }),
  })
  const given: unknown[] = []
  prisma.media.onPostInsert({ name: 'index', schema }, (change) => {
    given.push([
      change.new.url.hostname,
      change.new.title,
      change.context.userId,
      change.attempt,
      change.changed.length,
    ])
    expect(change.signal).toBeInstanceOf(AbortSignal)
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.withContext({ userId: '7' }, () =>
    prisma.media.create({ data: { url: 'https://example.com/cat', title: 'cat' } }),
  )
  await drain(prisma)
  expect(given).toEqual([['example.com', 'cat', 7, 1, 8]])
})

test('a schema may check asynchronously; what fails in its own work is tried again', async ({ database }) => {
  const prisma = database.prisma()
  let reachable = false
  const zod = z.object({ new: z.object({ title: z.string().refine(async (title) => title !== 'forbidden') }) })
  const schema: StandardSchema<z.infer<typeof zod>> = {
    '~standard': {
      ...zod['~standard'],
      async validate(change) {
        if (!reachable) throw new Error('the list of titles cannot be reached')
        return zod['~standard'].validate(change)
      },
    },
  }
  const titles: unknown[] = []
  const options = { schema, backoff: () => 0, attempts: 3 }
  prisma.media.onPostInsert({ name: 'single', ...options }, ({ new: media }) => void titles.push(media.title))
  prisma.media.onPostInsert(
    { name: 'list', batch: { size: 10 }, ...options },
    (changes) => void titles.push(changes.length),
  )
  prisma.$pubsub.on('failed', ({ attempt }) => {
    reachable ||= attempt === 2
  })
  await prisma.$pubsub.install()
  await createMedia(prisma, 'fine', 'forbidden')
  await drain(prisma, { failures: 'return' })
  expect(titles.sort()).toEqual([1, 'fine'])
  expect(await prisma.$pubsub.deadLetters.list()).toMatchObject([
    { new: { title: 'forbidden' } },
    { new: { title: 'forbidden' } },
  ])
})

test('a row that cannot be read takes no other of its list with it', async ({ database }) => {
  const prisma = database.prisma()
  const lists: number[] = []
  prisma.everyType.onPostInsert({ name: 'all', batch: { size: 10 } }, (changes) => void lists.push(changes.length))
  await prisma.$pubsub.install()
  await prisma.everyType.createMany({ data: [{ int: 1 }, { int: 2 }, { int: 3 }] })
  await database.sql(`update pgpubsub.notification set new = new::jsonb || '{"int": "many"}' where new ->> 'int' = '2'`)
  await drain(prisma, { failures: 'return' })
  expect(lists).toEqual([2])
  expect(await prisma.$pubsub.deadLetters.list()).toMatchObject([{ new: { int: 'many' } }])
})

/** An engine on a pool of its own, with the texts of its statements. */
function recorded(database: TestDatabase) {
  const texts: string[] = []
  class Recording extends pg.Client {
    constructor(config?: pg.ClientConfig) {
      super(config)
      const query = this.query.bind(this) as (...given: unknown[]) => unknown
      this.query = ((statement: string | { text: string }, ...more: unknown[]) => {
        texts.push(typeof statement === 'string' ? statement : statement.text)
        return query(statement, ...more)
      }) as typeof this.query
    }
  }
  const pool = new pg.Pool({ connectionString: database.url, Client: Recording })
  database.closeLater(() => pool.end())
  const engine = new PubSub({ pool, logger: silentLogger })
  database.closeLater(() => engine.close())
  return { engine, asksForVersions: () => texts.some((text) => text.includes('n.version')) }
}

test('without Prisma: upcast comes before it, and who has none asks for no version', async ({ database }) => {
  await createItems(database)
  const before = recorded(database)
  before.engine.onChange({ name: 'items', table: 'item', version: '1' }, () => {})
  await before.engine.install()
  await database.sql('insert into item values (1, 1), (2, 2)')
  await before.engine.process({ max: 1 })
  expect(before.asksForVersions()).toBe(false)

  const after = recorded(database)
  const given: string[] = []
  const options = {
    ...{ name: 'items', table: 'item', version: '2' },
    changeSchema: z.object({ new: z.object({ value: z.coerce.string() }) }),
  }
  const upcast: Upcast = ({ old, new: row }, version) => ({
    old,
    new: { ...row, value: `${row?.value} of ${version}` },
  })
  after.engine.onChange({ ...options, upcast }, ({ new: item }) => void given.push(item.value))
  await after.engine.install()
  await database.sql('insert into item values (3, 3)')
  await drainEngine(after.engine)
  expect(given).toEqual(['2 of 1', '3'])
  expect(after.asksForVersions()).toBe(true)
})

test('wrong options are told at once', ({ database }) => {
  const prisma = database.prisma()
  const declare = (options: object) => () => prisma.media.onPostInsert({ name: 'a', ...options } as never, () => {})
  for (const schema of [{}, 'a', null, () => {}, z]) expect(declare({ schema })).toThrow('schema of listener "a"')
  expect(declare({ upcast: {} })).toThrow('upcast of listener "a"')
  const core = database.core()
  const upcast: Upcast = (change) => change
  expect(() => core.onChange({ name: 'a', table: 'b', upcast }, () => {})).toThrow('no version')
  expect(() => core.onChange({ name: 'a', table: 'b', version: 2 } as never, () => {})).toThrow(
    'version of listener "a"',
  )
})
