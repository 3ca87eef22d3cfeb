import { randomBytes } from 'node:crypto'
import { carryContext } from '@pgpubsub/core'
import pg from 'pg'
import { z } from 'zod'
import { adapters, type RecordingClient, recordingClient } from './support/contexts.ts'
import { createItems, onItem } from './support/items.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const url = 'file:///a'

const written = async (database: TestDatabase) =>
  (await database.notifications()).map(({ new: row, old }) => (row ?? old).title ?? (row ?? old).label)

type Write = (prisma: RecordingClient, title: string) => PromiseLike<unknown>

const forms: Record<string, Write> = {
  'a single write': (prisma, title) => prisma.media.create({ data: { url, title } }),
  'many rows': (prisma, title) =>
    prisma.media.createMany({
      data: [
        { url, title },
        { url, title },
      ],
    }),
  'a nested write': (prisma, title) =>
    prisma.media.create({ data: { url, title, tags: { create: [{ label: title }, { label: title }] } } }),
  'a raw write': (prisma, title) => prisma.$executeRaw`insert into media (url, title) values (${url}, ${title})`,
  'a raw query that writes': (prisma, title) =>
    prisma.$queryRaw`insert into media (url, title) values (${url}, ${title}) returning id`,
  'several statements': (prisma, title) =>
    prisma.$executeRawUnsafe(
      `insert into media (url, title) values ('a', '${title}'); update media set virus = 'x' where title = '${title}'`,
    ),
  'a batch': (prisma, title) =>
    prisma.$transaction([
      prisma.media.create({ data: { url, title } }),
      prisma.media.count(),
      prisma.$executeRaw`insert into media (url, title) values (${url}, ${title})`,
    ]),
  'an interactive transaction': (prisma, title) =>
    prisma.$transaction(async (tx) => {
      await tx.media.create({ data: { url, title } })
      await tx.$transaction((nested) =>
        nested.media.create({ data: { url, title, tags: { create: { label: title } } } }),
      )
      await tx.$executeRaw`insert into media (url, title) values (${url}, ${title})`
      await tx.media.deleteMany({ where: { title } })
    }),
  'parallel writes in a transaction': (prisma, title) =>
    prisma.$transaction((tx) => Promise.all([1, 2, 3].map(() => tx.media.create({ data: { url, title } })))),
}

describe.for(adapters)('with the %s adapter', (adapter) => {
  test('nothing of a muted function is stored, in any form, and what comes after it on its connection is', async ({
    database,
  }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 1 } })
    for (const [form, write] of Object.entries(forms)) {
      await prisma.$pubsub.mute(() => write(prisma, 'muted'))
      expect(await written(database), form).toEqual([])
      await database.sql('delete from media')
      await database.sql('delete from pgpubsub.notification')
      await write(prisma, 'heard')
      const after = await written(database)
      expect(after.length, form).toBeGreaterThan(0)
      expect(new Set(after), form).toEqual(new Set(['heard']))
      await database.sql('delete from media')
      await database.sql('delete from pgpubsub.notification')
    }
  })

  test('muted and other requests at the same time are each what they are', async ({ database }) => {
    const transactionOptions = { maxWait: 30_000, timeout: 30_000 }
    const prisma = await recordingClient(database, { adapter, transactionOptions })
    let number = 0
    const { mute, withContext } = {
      mute: (fn: () => PromiseLike<unknown>) => prisma.$pubsub.mute(fn),
      withContext: (fn: () => PromiseLike<unknown>) => prisma.$pubsub.withContext({ by: 7 }, fn),
    }
    const requests = Array.from({ length: 4 }, () =>
      Object.values(forms).flatMap((write) => {
        // of its own, so that no two requests wait for each other's rows
        const as = (title: string) => () => write(prisma, `${title} ${number++}`)
        return [
          as('heard'),
          () => withContext(as('with context')),
          () => mute(() => withContext(as('muted'))),
          () => withContext(() => mute(as('muted'))),
        ]
      }),
    ).flat()
    await Promise.all(requests.map((request) => request()))
    const stored = (await database.notifications()).map(({ new: now, old, context }) => {
      const { title, label } = now ?? old
      return `${(title ?? label).replace(/ \d+$/, '')}: ${JSON.stringify(context)}`
    })
    expect(new Set(stored)).toEqual(new Set(['heard: {}', 'with context: {"by":7}']))
  })

  test('a part of a transaction can be muted, and ends with its function, also where it throws', async ({
    database,
  }) => {
    const prisma = await recordingClient(database, { adapter })
    await prisma.$transaction(async (tx) => {
      await tx.media.create({ data: { url, title: 'before' } })
      await prisma.$pubsub.mute(() => tx.media.create({ data: { url, title: 'muted' } }))
      await tx.media.create({ data: { url, title: 'between' } })
      const undone = prisma.$pubsub.mute(() =>
        tx.$transaction(async (nested) => {
          await nested.media.create({ data: { url, title: 'muted' } })
          throw new Error('undone')
        }),
      )
      await expect(undone).rejects.toThrow('undone')
      await prisma.$pubsub.withContext({ by: 7 }, () => tx.media.create({ data: { url, title: 'after' } }))
    })
    expect(await written(database)).toEqual(['before', 'between', 'after'])
    expect((await database.notifications()).map(({ context }) => context)).toEqual([{}, {}, { by: 7 }])
  })

  test('the context of a muted function is still there for who asks, and returns what the function returns', async ({
    database,
  }) => {
    const prisma = database.prisma({ adapter })
    const context = await prisma.$pubsub.withContext({ a: 1 }, () =>
      prisma.$pubsub.mute(() => prisma.$pubsub.withContext({ b: 2 }, () => prisma.$pubsub.context())),
    )
    expect(context).toEqual({ a: 1, b: 2 })
  })
})

async function setUp(database: TestDatabase) {
  await createItems(database)
  const engine = database.core()
  onItem(engine, { name: 'row' }, () => {})
  onItem(engine, { name: 'statement', level: 'statement' }, () => {})
  onItem(engine, { name: 'before', timing: 'before' }, () => {})
  onItem(engine, { name: 'truncate', operations: ['truncate'] }, () => {})
  await engine.install()
  return engine
}

const everything = `insert into item values (1, 1), (2, 2); update item set value = 3; delete from item where id = 1; truncate item`

const count = async (database: TestDatabase) => (await database.notifications()).length

test('SQL mutes the rest of its transaction by a function, or by the setting', async ({ database }) => {
  await setUp(database)
  await database.sql(`begin; select pgpubsub.mute(); ${everything}; commit`)
  await database.sql(`begin; set local pgpubsub.notification_context = 'muted'; ${everything}; commit`)
  expect(await count(database)).toBe(0)
  await database.sql(`begin; savepoint a; select pgpubsub.mute(); rollback to a; ${everything}; commit`)
  expect(await count(database)).toBe(16)
})

test('a role mutes only where it was granted to', async ({ database }) => {
  await setUp(database)
  const role = `writer_${randomBytes(6).toString('hex')}`
  await database.sql(`create role ${role} login password 'secret'; grant all on item to ${role}`)
  database.closeLater(() => database.sql(`drop owned by ${role}; drop role ${role}`))
  const muted = `set local pgpubsub.notification_context = 'muted'; ${everything}`
  const asOther = `begin; set local role ${role}; ${muted}; commit`
  const address = new URL(database.url)
  Object.assign(address, { username: role, password: 'secret' })
  const client = new pg.Client(address.href)
  await client.connect()
  database.closeLater(() => client.end())
  await database.sql(asOther)
  expect(await count(database)).toBe(16)
  await client.query(`begin; ${muted}; commit`)
  expect(await count(database)).toBe(32)
  expect((await database.notifications())[0]?.context).toEqual({ '$pgpubsub:text': 'muted' })
  await expect(client.query('select pgpubsub.mute()')).rejects.toMatchObject({ code: '42501' })
  await database.sql(`delete from pgpubsub.notification; grant execute on function pgpubsub.mute() to ${role}`)
  await database.sql(asOther)
  await client.query(`begin; ${muted}; commit`)
  expect(await count(database)).toBe(0)
})

test('the core mutes what a pool that carries contexts writes', async ({ database }) => {
  const engine = await setUp(database)
  const pool = carryContext(new pg.Pool({ connectionString: database.url, max: 1 }))
  database.closeLater(() => pool.end())
  await engine.mute(() => pool.query('insert into item values (1, 1)'))
  expect(await count(database)).toBe(0)
  await pool.query('insert into item values (2, 2)')
  expect(await count(database)).toBe(3)
})

test('what is published on a channel is muted as well, in a transaction and outside of any', async ({ database }) => {
  const prisma = database.prisma()
  const channel = prisma.$pubsub.channel('words', z.string())
  channel.on('hear', () => {})
  await prisma.$pubsub.install()
  await prisma.$pubsub.mute(async () => {
    await channel.publish('muted')
    await prisma.$transaction((tx) => channel.publish('muted', { tx }))
    await prisma.$executeRaw`select pgpubsub.publish('words', '"muted"')`
  })
  expect(await count(database)).toBe(0)
  await channel.publish('heard')
  expect((await database.notifications()).map((message) => message.new)).toEqual(['heard'])
})

test('no broadcast is sent of muted writes', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  const heard: unknown[] = []
  onItem(engine, { delivery: 'broadcast' }, (change) => heard.push(change.new?.id))
  await engine.install()
  await engine.listen()
  await database.sql(`begin; select pgpubsub.mute(); insert into item values (1, 1); commit`)
  await database.sql('insert into item values (2, 2)')
  await vi.waitFor(() => expect(heard).toContain(2))
  expect(heard).toEqual([2])
})
