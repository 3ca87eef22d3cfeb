import pg from 'pg'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const ignore = () => {}

/** A client that hears every NOTIFY of the engine. `heard` waits for all that was sent until now, and returns it. */
async function ear(database: TestDatabase) {
  const client = new pg.Client(database.url)
  await client.connect()
  database.closeLater(() => client.end())
  const payloads: string[] = []
  client.on('notification', ({ payload }) => void payloads.push(payload ?? ''))
  await client.query('listen pgpubsub')
  let marks = 0
  return async () => {
    const mark = `mark ${++marks}`
    await database.sql(`select pg_notify('pgpubsub', $1)`, [mark])
    await vi.waitFor(() => expect(payloads).toContain(mark))
    return payloads.splice(0).filter((payload) => payload !== mark)
  }
}

/** Listeners that notify at every change, so that silence means something. */
async function loud(database: TestDatabase) {
  const prisma = database.prisma({ defaults: { wake: 'always' } })
  prisma.media.onPostChange('media', ignore)
  prisma.user.onPostChange('user', ignore)
  prisma.reading.onPreSave('reading', ignore)
  await prisma.$pubsub.install()
  return prisma
}

test('a rollback leaves no notification and wakes nobody', async ({ database }) => {
  const prisma = await loud(database)
  const heard = await ear(database)
  const write = async (end: 'commit' | 'rollback') => {
    const client = await database.pool.connect()
    await client.query('begin')
    await client.query(`insert into media (url) values ('a')`)
    await client.query(`update media set url = 'b'`)
    await client.query(`insert into reading values ($1, 1)`, [end])
    await client.query(end)
    client.release()
  }

  await write('rollback')
  expect(await heard()).toEqual([])
  expect(await database.notifications()).toEqual([])

  const failing = prisma.$transaction(async (tx) => {
    await tx.media.create({ data: { url: 'a' } })
    throw new Error('changed my mind')
  })
  await expect(failing).rejects.toThrow('changed my mind')
  const half = prisma.$transaction([
    prisma.reading.create({ data: { sensor: 'a', value: 1 } }),
    prisma.reading.create({ data: { sensor: 'a', value: 2 } }),
  ])
  await expect(half).rejects.toMatchObject({ code: 'P2002' })
  expect(await heard()).toEqual([])
  expect(await database.notifications()).toEqual([])

  await write('commit')
  expect((await heard()).sort()).toEqual(['media', 'reading'])
  expect(await database.notifications()).toHaveLength(3)
})

test('of a committed transaction, a savepoint that was rolled back is silent', async ({ database }) => {
  await loud(database)
  const heard = await ear(database)
  const client = await database.pool.connect()
  await client.query('begin')
  await client.query(`insert into "user" (email) values ('kept@x')`)
  await client.query('savepoint a')
  await client.query(`insert into media (url) values ('a')`)
  await client.query('savepoint b')
  await client.query(`insert into reading values ('b', 1)`)
  await client.query('release b')
  await client.query('rollback to a')
  await client.query('commit')
  client.release()

  expect(await heard()).toEqual(['user'])
  expect(await database.notifications()).toMatchObject([{ listener: 'user', new: { email: 'kept@x' } }])
})

test('a write that a constraint refuses is silent, and so is the rest of its statement', async ({ database }) => {
  const prisma = await loud(database)
  const heard = await ear(database)
  await prisma.user.create({ data: { email: 'taken@x' } })
  await heard()
  await database.sql('delete from pgpubsub.notification')

  await expect(prisma.user.create({ data: { email: 'taken@x' } })).rejects.toMatchObject({ code: 'P2002' })
  await expect(prisma.user.createMany({ data: [{ email: 'free@x' }, { email: 'taken@x' }] })).rejects.toThrow()
  await expect(prisma.media.create({ data: { url: 'a', ownerId: 999 } })).rejects.toMatchObject({ code: 'P2003' })

  expect(await heard()).toEqual([])
  expect(await database.notifications()).toEqual([])
})

test('a rollback does not wake a sleeping worker, and its handler never sees the change', async ({ database }) => {
  const prisma = database.prisma({ pollIntervalMs: 600_000 })
  const urls: string[] = []
  prisma.media.onPostInsert('media', ({ new: media }) => void urls.push(media.url))
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  const heard = await ear(database)
  await vi.waitFor(async () => {
    const asleep = `select from pg_locks where locktype = 'advisory' and mode = 'ShareLock' and granted
      and database = (select oid from pg_database where datname = current_database())`
    expect(await database.sql(asleep)).toHaveLength(1)
  })

  const client = await database.pool.connect()
  await client.query('begin')
  await client.query(`insert into media (url) values ('never')`)
  await client.query('rollback')
  client.release()
  expect(await heard()).toEqual([])

  await prisma.media.create({ data: { url: 'committed' } })
  await vi.waitFor(() => expect(urls).toEqual(['committed']), { timeout: 10_000 })
  await database.drained()
  expect(await heard()).toEqual(['media'])
})
