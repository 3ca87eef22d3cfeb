import { Prisma } from '../prisma/generated/client.ts'
import { adapters, newContexts, type RecordingClient, recordingClient } from './support/contexts.ts'
import { describe, expect, inject, test } from './support/test.ts'

type Write = (prisma: RecordingClient) => PromiseLike<unknown>

const url = 'file:///a'

const writes: Record<string, Write> = {
  create: (prisma) => prisma.media.create({ data: { url } }),
  createMany: (prisma) => prisma.media.createMany({ data: [{ url }, { url }] }),
  createManyAndReturn: (prisma) => prisma.media.createManyAndReturn({ data: [{ url }, { url }] }),
  update: (prisma) => prisma.media.update({ where: { id: 1 }, data: { title: 'updated' } }),
  updateMany: (prisma) => prisma.media.updateMany({ where: { id: 1 }, data: { title: 'many' } }),
  updateManyAndReturn: (prisma) => prisma.media.updateManyAndReturn({ where: { id: 1 }, data: { title: 'returned' } }),
  'upsert that inserts': (prisma) => prisma.user.upsert(upsertOf('new@example.com')),
  'upsert that updates': (prisma) => prisma.user.upsert(upsertOf('new@example.com')),
  'nested create': (prisma) =>
    prisma.user.create({ data: { email: 'nested', media: { create: [{ url, tags: { create: { label: 'a' } } }] } } }),
  'nested update': (prisma) =>
    prisma.user.update({
      where: { email: 'nested' },
      data: { media: { updateMany: { where: {}, data: { title: 'nested' } }, create: { url } } },
    }),
  'connect or create': (prisma) =>
    prisma.tag.create({ data: { label: 'b', media: { connectOrCreate: { where: { id: -1 }, create: { url } } } } }),
  'fluent delete': (prisma) => prisma.user.delete({ where: { email: 'nested' } }).media(),
  delete: (prisma) => prisma.media.delete({ where: { id: 2 } }),
  deleteMany: (prisma) => prisma.media.deleteMany({ where: { id: { lt: 5 } } }),
  $executeRaw: (prisma) => prisma.$executeRaw`insert into media (url) values (${url})`,
  $executeRawUnsafe: (prisma) => prisma.$executeRawUnsafe('insert into media (url) values ($1)', url),
  'several statements': (prisma) =>
    prisma.$executeRawUnsafe(
      `insert into media (url) values ('a; b'); update media set title = 'both' where url = 'a; b'`,
    ),
  'insert … returning': (prisma) => prisma.$queryRaw`insert into media (url) values (${url}) returning id`,
  'with … insert': (prisma) =>
    prisma.$queryRawUnsafe(
      'with added as (insert into media (url) values ($1) returning id) select id from added',
      url,
    ),
  'sql helper': (prisma) => prisma.$executeRaw(Prisma.sql`insert into media (url) values (${url})`),
  ...(inject('postgresMajor') >= 15 && {
    merge: ((prisma) =>
      prisma.$executeRaw`merge into media m using (values (${url})) v(url) on false when not matched then insert (url) values (v.url)`) satisfies Write,
  }),
  'a function that writes': (prisma) => prisma.$queryRaw`select add_media(${url})::text`,
  'a procedure': (prisma) => prisma.$executeRaw`call add_media_by_procedure(${url})`,
  'a do block': (prisma) =>
    prisma.$executeRawUnsafe(`do $$ begin insert into media (url) values ('done'); perform 1; end $$`),
  'a batch': (prisma) => prisma.$transaction([prisma.media.create({ data: { url } }), prisma.media.findMany()]),
  'a batch of raw statements': (prisma) =>
    prisma.$transaction([prisma.$executeRaw`insert into media (url) values (${url})`, prisma.$queryRaw`select 1`]),
  'a transaction': (prisma) =>
    prisma.$transaction(async (tx) => {
      await tx.media.findMany()
      const media = await tx.media.create({ data: { url } })
      await tx.tag.create({ data: { label: 'c', mediaId: media.id } })
      await tx.$executeRaw`update media set title = 'raw' where id = ${media.id}`
    }),
  'writes started together in a transaction': (prisma) =>
    prisma.$transaction((tx) => Promise.all(['1', '2', '3'].map((title) => tx.media.create({ data: { url, title } })))),
  'a nested transaction': (prisma) =>
    prisma.$transaction((tx) => tx.$transaction((nested) => nested.media.create({ data: { url } }))),
  'after a nested transaction that rolled back': (prisma) =>
    prisma.$transaction(async (tx) => {
      await tx
        .$transaction(async (nested) => {
          await nested.media.create({ data: { url } })
          throw new Error('undo')
        })
        .catch(() => {})
      await tx.media.create({ data: { url } })
    }),
  'after a savepoint that was rolled back': (prisma) =>
    prisma.$transaction(async (tx) => {
      await tx.$executeRaw`savepoint before`
      await tx.media.create({ data: { url } })
      await tx.$executeRaw`rollback to savepoint before`
      await tx.media.create({ data: { url } })
    }),
  'the root client inside a transaction': (prisma) =>
    prisma.$transaction(async (tx) => {
      await tx.media.findMany()
      await prisma.media.create({ data: { url } })
      await prisma.$transaction([prisma.media.create({ data: { url } })])
      await prisma.$transaction((other) => other.media.create({ data: { url } }))
    }),
}

const upsertOf = (email: string) => ({ where: { email }, create: { email }, update: { name: `${Math.random()}` } })

const functions = `
  create function add_media(text) returns void language sql as 'insert into media (url) values ($1)';
  create procedure add_media_by_procedure(text) language sql as 'insert into media (url) values ($1)';
  create procedure commit_twice(text) language plpgsql as $$
  begin
    insert into media (url) values ($1);
    commit;
    insert into media (url) values ($1);
    commit;
  end $$`

describe.each(adapters)('with the %s adapter', (adapter) => {
  test('every kind of write is stored with the context of its request', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    await database.sql(functions)
    const stored = newContexts(database)
    for (const [kind, write] of Object.entries(writes)) {
      const context = { request: kind }
      await prisma.$pubsub.withContext(context, () => write(prisma))
      const contexts = await stored()
      expect(contexts.length, kind).toBeGreaterThan(0)
      expect(contexts, kind).toEqual(contexts.map(() => context))
    }
  })

  test('every kind of write without a context is stored with {}, also after one with a context', async ({
    database,
  }) => {
    const prisma = await recordingClient(database, { adapter, pool: { max: 2 } })
    await database.sql(functions)
    const stored = newContexts(database)
    for (const [kind, write] of Object.entries(writes)) {
      await prisma.$pubsub.withContext({ other: kind }, () => prisma.media.create({ data: { url } }))
      await stored()
      await write(prisma)
      const contexts = await stored()
      expect(contexts.length, kind).toBeGreaterThan(0)
      expect(contexts, kind).toEqual(contexts.map(() => ({})))
    }
  })

  test('contexts inside a transaction nest, and end where they end', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    const { withContext } = bound(prisma)
    const stored = newContexts(database)
    await withContext({ a: 1, b: 1 }, () =>
      prisma.$transaction(async (tx) => {
        const write = () => tx.media.create({ data: { url } })
        await write()
        await withContext({ b: 2 }, async () => {
          await write()
          await withContext({ c: 3 }, write)
          await write()
        })
        await tx.$transaction((nested) => withContext({ n: 1 }, () => nested.media.create({ data: { url } })))
        await write()
      }),
    )
    expect(await stored()).toEqual([
      { a: 1, b: 1 },
      { a: 1, b: 2 },
      { a: 1, b: 2, c: 3 },
      { a: 1, b: 2 },
      { a: 1, b: 1, n: 1 },
      { a: 1, b: 1 },
    ])
  })

  test('a write without a context, after one with a context in the same transaction, is stored with {}', async ({
    database,
  }) => {
    const prisma = await recordingClient(database, { adapter })
    const stored = newContexts(database)
    await prisma.$transaction(async (tx) => {
      await prisma.$pubsub.withContext({ a: 1 }, () => tx.media.create({ data: { url } }))
      await tx.media.create({ data: { url } })
      await tx.$executeRaw`insert into media (url) values (${url})`
    })
    expect(await stored()).toEqual([{ a: 1 }, {}, {}])
  })

  test('writes of different contexts, started together in one transaction, keep their own', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    await prisma.$transaction((tx) =>
      Promise.all(
        Array.from({ length: 12 }, (_, number) => {
          const title = `${number % 4}`
          const write = async () => {
            for (let turn = 0; turn < number; turn++) await new Promise(setImmediate)
            await tx.media.create({ data: { url, title, tags: { create: { label: title } } } })
          }
          return number % 4 === 0 ? write() : prisma.$pubsub.withContext({ number: number % 4 }, write)
        }),
      ),
    )
    const rows = await database.notifications()
    expect(rows).toHaveLength(24)
    for (const { new: row, context } of rows) {
      const mark = row.title ?? row.label
      expect(context).toEqual(mark === '0' ? {} : { number: Number(mark) })
    }
  })

  test('enterContext holds for the rest of the request, like a middleware, and not for other requests', async ({
    database,
  }) => {
    const prisma = await recordingClient(database, { adapter })
    const { withContext } = bound(prisma)
    const request = async (user: number) => {
      prisma.$pubsub.enterContext({ user })
      await prisma.media.create({ data: { url, title: `${user}` } })
      prisma.$pubsub.enterContext({ step: 2 })
      await prisma.$transaction([prisma.media.create({ data: { url, title: `${user}` } })])
      await prisma.$transaction(async (tx) => {
        prisma.$pubsub.enterContext({ step: 3 })
        await tx.media.create({ data: { url, title: `${user}` } })
      })
      expect(prisma.$pubsub.context()).toEqual({ user, step: 2 })
    }
    await Promise.all([1, 2, 3].map((user) => withContext({}, () => request(user))))

    const rows = await database.notifications()
    for (const user of [1, 2, 3]) {
      const contexts = rows.filter((row) => row.new.title === `${user}`).map((row) => row.context)
      expect(contexts).toEqual([{ user }, { user, step: 2 }, { user, step: 3 }])
    }
    expect(prisma.$pubsub.context()).toEqual({})
  })

  test('isolation level and time limit of a transaction are still honoured', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    const { withContext } = bound(prisma)
    const level = 'Serializable'
    const shown = await withContext({ a: 1 }, async () => [
      await prisma.$transaction((tx) => tx.$queryRaw`show transaction isolation level`, { isolationLevel: level }),
      (await prisma.$transaction([prisma.$queryRaw`show transaction isolation level`], { isolationLevel: level }))[0],
    ])
    expect(shown).toEqual(Array(2).fill([{ transaction_isolation: 'serializable' }]))

    const tooLong = prisma.$transaction(
      async (tx) => {
        await tx.media.create({ data: { url } })
        await tx.$queryRaw`select pg_sleep(0.5)::text`
        await tx.media.create({ data: { url } })
      },
      { timeout: 100 },
    )
    await expect(withContext({ a: 1 }, () => tooLong)).rejects.toMatchObject({ code: 'P2028' })
    expect(await prisma.media.count()).toBe(0)
  })

  test('a procedure that commits works with a context too', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    await database.sql(functions)
    const stored = newContexts(database)
    const block = `do $$ begin
      insert into media (url) values ('a'); commit; insert into media (url) values ('b'); commit;
    end $$`
    for (const run of [() => prisma.$executeRaw`call commit_twice(${url})`, () => prisma.$executeRawUnsafe(block)]) {
      await prisma.$pubsub.withContext({ a: 1 }, run)
      const [first, ...others] = await stored()
      expect([{ a: 1 }, {}]).toContainEqual(first)
      // its first commit ends the transaction that the context belongs to
      expect(others).toEqual([{}])
    }
  })

  test('statements that refuse a transaction still work with a context', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    await prisma.$pubsub.withContext({ a: 1 }, async () => {
      await prisma.$executeRawUnsafe('vacuum media')
      await prisma.$executeRawUnsafe('create index concurrently media_title on media (title)')
    })
  })

  test('a program that sets the context of its transaction in SQL has the last word', async ({ database }) => {
    const prisma = await recordingClient(database, { adapter })
    const stored = newContexts(database)
    const set = `set local pgpubsub.notification_context = '{"from": "sql"}'`
    await prisma.$transaction(async (tx) => {
      await tx.$executeRawUnsafe(set)
      await tx.media.create({ data: { url } })
      await prisma.$pubsub.withContext({ a: 1 }, () => tx.media.create({ data: { url } }))
    })
    expect(await stored()).toEqual([{ from: 'sql' }, { from: 'sql' }])

    await prisma.$pubsub.withContext({ a: 1 }, () =>
      prisma.$transaction(async (tx) => {
        await tx.media.create({ data: { url } })
        await tx.$executeRawUnsafe(set)
        await tx.media.create({ data: { url } })
      }),
    )
    await prisma.$pubsub.withContext({ a: 1 }, () => prisma.media.create({ data: { url } }))
    expect(await stored()).toEqual([{ a: 1 }, { from: 'sql' }, { a: 1 }])
  })

  test('a long single write has no time limit that it has not without a context', async ({ database }) => {
    const prisma = await recordingClient(database, {
      adapter,
      pool: { max: 1 },
      transactionOptions: { maxWait: 100, timeout: 100 },
    })
    await database.sql(`create function add_slowly(text) returns void language sql as
      'select pg_sleep(0.3); insert into media (url) values ($1)'`)
    await prisma.$pubsub.withContext({ a: 1 }, () =>
      Promise.all([1, 2, 3].map(() => prisma.$queryRaw`select add_slowly(${url})::text`)),
    )
    expect(await prisma.media.count()).toBe(3)
  })
})

test('any client may set the context in SQL', async ({ database }) => {
  await recordingClient(database)
  await database.sql(`
    begin;
    set local pgpubsub.notification_context = '{"from": "psql"}';
    insert into media (url) values ('a');
    commit;
    insert into media (url) values ('b')`)
  const rows = await database.notifications()
  expect(rows.map((row) => [row.new.url, row.context])).toEqual([
    ['a', { from: 'psql' }],
    ['b', {}],
  ])
})

test('the context reaches the handler, and the handler itself runs outside of any', async ({ database }) => {
  const prisma = database.prisma()
  const seen: unknown[] = []
  prisma.media.onPostInsert('see', async ({ context }) => {
    seen.push(context, prisma.$pubsub.context())
    await prisma.tag.create({ data: { label: 'seen', mediaId: 1 } })
  })
  prisma.tag.onPostInsert('see-tag', ({ context }) => void seen.push(context))
  await prisma.$pubsub.install()
  await prisma.$pubsub.withContext({ of: 'the worker' }, () => prisma.$pubsub.listen())
  await prisma.$pubsub.withContext({ of: 'the request' }, () => prisma.media.create({ data: { url } }))
  await expect.poll(() => seen).toEqual([{ of: 'the request' }, {}, {}])
})

test('nested contexts merge, and context() tells the running one', async ({ database }) => {
  const prisma = database.prisma()
  const { withContext } = bound(prisma)
  expect(prisma.$pubsub.context()).toEqual({})
  const returned = await withContext({ a: 1, b: 1 }, () =>
    withContext({ b: 2 }, () => {
      expect(prisma.$pubsub.context()).toEqual({ a: 1, b: 2 })
      return 'returned'
    }),
  )
  expect(returned).toBe('returned')
  await expect(
    withContext({ a: 1 }, () => {
      throw new Error('mine')
    }),
  ).rejects.toThrow('mine')
  expect(prisma.$pubsub.context()).toEqual({})
})

function bound(prisma: Pick<RecordingClient, '$pubsub'>) {
  return { withContext: prisma.$pubsub.withContext.bind(prisma.$pubsub) as typeof prisma.$pubsub.withContext }
}
