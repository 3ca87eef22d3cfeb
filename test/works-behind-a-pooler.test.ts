import { untilAsleep } from './support/asleep.ts'
import { adapters, recordingClient } from './support/contexts.ts'
import { createItems, noPoll, onItem, valueAfter } from './support/items.ts'
import { noPgBouncer, pgBouncer } from './support/pgbouncer.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const behindAPooler = noPgBouncer ? `behind PgBouncer: SKIPPED, ${noPgBouncer}` : 'behind PgBouncer'

/** Transactions wait for the one connection there is. */
const transactionOptions = { maxWait: 20_000, timeout: 20_000 }

/** What a client may not leave on a connection that is not its own. */
const leftovers = (database: TestDatabase) =>
  database.sql(`
    select 'lock' as what, l.objid::text as which from pg_locks l
      where l.locktype = 'advisory' and l.database = (select oid from pg_database where datname = current_database())
    union all
    select 'LISTEN', query from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid() and query ilike '%listen%'
    union all
    select 'transaction', query from pg_stat_activity
      where datname = current_database() and state like 'idle in transaction%'`)

describe.skipIf(noPgBouncer)(behindAPooler, () => {
  test.for(adapters)(
    'a change made and handled through the pooler arrives at once, with context (%s)',
    async (adapter, { database }) => {
      const url = await pgBouncer(database)
      const prisma = database.prisma({ ...noPoll, adapter, url, listenConnectionString: database.url })
      const handled: unknown[] = []
      prisma.media.onPostSave('scan', ({ operation, old, new: media, context }) => {
        handled.push([operation, old?.title, media.title, context])
      })
      await prisma.$pubsub.install()
      await prisma.$pubsub.listen()
      const data = { url: 'file:///a', title: 'a' }
      for (const user of [1, 2, 3]) {
        await untilAsleep(database)
        await prisma.$pubsub.withContext({ user }, () => prisma.media.create({ data }))
        await database.drained()
      }
      await untilAsleep(database)
      await prisma.$pubsub.withContext({ user: 4 }, () =>
        prisma.$transaction((tx) => tx.media.updateMany({ where: { id: 1 }, data: { title: 'b' } })),
      )
      await database.drained()
      expect(handled).toEqual([
        ...[1, 2, 3].map((user) => ['insert', undefined, 'a', { user }]),
        ['update', 'a', 'b', { user: 4 }],
      ])
    },
  )

  test.for(adapters)(
    'clients that share one connection of the server keep their contexts apart (%s)',
    async (adapter, { database }) => {
      const url = await pgBouncer(database, { connections: 1 })
      const clients = await Promise.all(
        [1, 2, 3].map(() => recordingClient(database, { adapter, url, transactionOptions })),
      )
      const writes = clients.flatMap((prisma, client) =>
        Array.from({ length: 30 }, async (_, number) => {
          const title = number % 3 === 0 ? null : `${client}.${number}`
          const data = { url: 'file:///a', title }
          const write = () =>
            number % 2 === 0
              ? prisma.media.create({ data })
              : prisma.$transaction(async (tx) => {
                  await tx.media.findFirst()
                  return tx.media.create({ data })
                })
          return title === null ? write() : prisma.$pubsub.withContext({ title }, write)
        }),
      )
      await Promise.all(writes)
      const stored = await database.sql(`select context ->> 'title' as context, new ->> 'title' as title
      from pgpubsub.notification where listener = 'record-media'`)
      expect(stored).toHaveLength(writes.length)
      expect(stored.filter(({ context, title }) => context !== title)).toEqual([])
    },
  )

  test('workers that claim through the pooler share the work, each row in order and each change once', async ({
    database,
  }) => {
    await createItems(database)
    const connectionString = await pgBouncer(database, { connections: 4 })
    const handled = new Map<number, unknown[]>()
    const rows = [1, 2, 3, 4, 5, 6, 7, 8]
    for (const id of rows) handled.set(id, [])
    for (let worker = 0; worker < 2; worker++) {
      const engine = database.core({ ...noPoll, connectionString, listenConnectionString: database.url })
      onItem(engine, { batchSize: 7 }, (change) => handled.get(change.new?.id ?? 0)?.push(valueAfter(change)))
      await engine.install()
      await engine.listen()
    }
    await database.sql('insert into item select id, 0 from unnest($1::int[]) id', [rows])
    for (let value = 1; value <= 20; value++) await database.sql('update item set value = $1', [value])
    await database.drained()
    const inOrder = Array.from({ length: 21 }, (_, value) => value)
    expect([...handled.values()]).toEqual(rows.map(() => inOrder))
  })

  test('attempts, dead letters, pause and resume are the same through the pooler', async ({ database }) => {
    const url = await pgBouncer(database)
    const prisma = database.prisma({ ...noPoll, url, listenConnectionString: database.url })
    let broken = true
    const attempts: number[] = []
    prisma.media.onPostInsert({ name: 'scan', attempts: 2, backoff: () => 10 }, ({ attempt }) => {
      attempts.push(attempt)
      if (broken) throw new Error('the scanner is broken')
    })
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    await prisma.media.create({ data: { url: 'file:///a' } })
    await vi.waitFor(async () => expect(await prisma.$pubsub.deadLetters.list()).toHaveLength(1), { timeout: 10_000 })
    broken = false
    await prisma.$pubsub.pause('scan')
    await prisma.$transaction((tx) => prisma.$pubsub.deadLetters.retry({ listener: 'scan' }, { tx }))
    await prisma.media.create({ data: { url: 'file:///b' } })
    expect(await database.notifications()).toHaveLength(2)
    await prisma.$pubsub.resume('scan')
    await database.drained()
    expect(attempts).toEqual([1, 2, 1, 1])
  })

  test('where only the pooler can be reached, changes are found by the slow poll, and nothing is left behind', async ({
    database,
  }) => {
    const url = await pgBouncer(database)
    const prisma = database.prisma({ url, listenConnectionString: false, pollIntervalMs: 50 })
    const errors: unknown[] = []
    prisma.$pubsub.on('error', ({ error }) => errors.push(error))
    const handled: unknown[] = []
    prisma.media.onPostInsert('scan', ({ new: media }) => handled.push(media.title))
    await prisma.$pubsub.install()
    await using worker = await prisma.$pubsub.listen()
    for (const title of ['a', 'b', 'c']) {
      await prisma.media.create({ data: { url: 'file:///a', title } })
      await database.drained()
    }
    await prisma.$pubsub.pause('scan')
    await prisma.$pubsub.resume('scan')
    await prisma.media.create({ data: { url: 'file:///a', title: 'd' } })
    await database.drained()
    await worker.stop()
    expect(handled).toEqual(['a', 'b', 'c', 'd'])
    expect(await leftovers(database)).toEqual([])
    expect(errors).toEqual([])
  })
})
