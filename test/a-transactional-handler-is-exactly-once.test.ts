import { countThroughKills, createCounter, emails } from './support/counted-changes.ts'
import { expect, type TestClient, type TestDatabase, test, vi } from './support/test.ts'

// processes are started and killed
vi.setConfig({ testTimeout: 90_000 })

/** Ids of the counter that the handlers keep, and how often each was counted. */
async function counts(database: TestDatabase): Promise<Record<string, number>> {
  const rows = await database.sql('select id, count from counter order by id')
  return Object.fromEntries(rows.map(({ id, count }) => [id, count]))
}

/** Failures of a client's listeners, in order. */
function failures(prisma: TestClient): { id: bigint; code: unknown; message: string }[] {
  const seen: { id: bigint; code: unknown; message: string }[] = []
  prisma.$pubsub.on('failed', ({ id, error }) => {
    const { code, message } = error as Error & { code?: unknown }
    seen.push({ id, code, message })
  })
  return seen
}

test.for(['carrying', 'plain'] as const)(
  'changes are each counted once, though a worker is killed (%s adapter)',
  async (adapter, { database }) => {
    await countThroughKills(database, { adapter, changes: 200, kills: 1 })
  },
)

test('what a failed handler did with its tx is undone, and what its neighbours did stays', async ({ database }) => {
  await createCounter(database)
  const prisma = database.prisma({ defaults: { backoff: () => 3_600_000 } })
  prisma.user.onPostInsert({ name: 'count', transactional: true }, async ({ new: user, tx }) => {
    await tx.$executeRaw`insert into counter values (${user.id}, 1)`
    if (user.id === 2) throw new Error('not this one')
    if (user.id === 3) await tx.$executeRaw`select 1 / 0`
  })
  const failed = failures(prisma)
  await prisma.$pubsub.install()
  await prisma.user.createMany({ data: emails(4) })
  await prisma.$pubsub.listen()

  await vi.waitFor(async () => expect(await counts(database)).toEqual({ 1: 1, 4: 1 }), { timeout: 10_000 })
  expect((await database.notifications()).map(({ new: user, attempts }) => [user.id, attempts])).toEqual([
    [2, 1],
    [3, 1],
  ])
  expect(failed.map(({ message }) => message)).toEqual(['not this one', expect.stringContaining('division by zero')])
})

test('a handler that catches an error of SQL and returns has failed, and leaves nothing half done', async ({
  database,
}) => {
  await createCounter(database)
  const prisma = database.prisma({ defaults: { attempts: 1 } })
  prisma.user.onPostInsert({ name: 'count', transactional: true }, async ({ new: user, tx }) => {
    await tx.$executeRaw`insert into counter values (${user.id}, 1)`
    if (user.id !== 2) return
    await tx.$executeRaw`insert into counter values (${user.id}, 2)`.catch(() => 'it is there already')
  })
  const failed = failures(prisma)
  await prisma.$pubsub.install()
  await prisma.user.createMany({ data: emails(3) })
  await prisma.$pubsub.listen()
  await database.drained()

  expect(await counts(database)).toEqual({ 1: 1, 3: 1 })
  expect(failed).toMatchObject([
    { code: 'PGPUBSUB_SWALLOWED_ERROR', message: expect.stringContaining('duplicate key value') },
  ])
  expect(await prisma.$pubsub.deadLetters.list()).toMatchObject([{ new: { id: 2 }, attempts: 1 }])
})

test('an error of SQL inside a nested transaction of the handler may be caught', async ({ database }) => {
  await createCounter(database)
  const prisma = database.prisma()
  prisma.user.onPostInsert({ name: 'count', transactional: true }, async ({ new: user, tx }) => {
    await tx.$executeRaw`insert into counter values (${user.id}, 1)`
    const twice = tx.$transaction((inner) => inner.$executeRaw`insert into counter values (${user.id}, 2)`)
    await twice.catch(() => 'it is there already')
  })
  await prisma.$pubsub.install()
  await prisma.user.createMany({ data: emails(2) })
  await prisma.$pubsub.listen()
  await database.drained()

  expect(await counts(database)).toEqual({ 1: 1, 2: 1 })
})

test('a tx that is used when its handler has ended is refused, and changes nothing', async ({ database }) => {
  await createCounter(database)
  const prisma = database.prisma()
  const late: Promise<unknown>[] = []
  let endOfFirst: () => void = () => {}
  const firstHasEnded = new Promise<void>((resolve) => {
    endOfFirst = resolve
  })
  prisma.user.onPostInsert({ name: 'count', transactional: true }, async ({ new: user, tx }) => {
    if (user.id === 1) {
      // forgotten: nobody awaits it
      late.push(firstHasEnded.then(() => tx.$executeRaw`insert into counter values (1, 1)`))
      return
    }
    endOfFirst()
    await Promise.allSettled(late)
    await tx.$executeRaw`insert into counter values (2, 1)`
  })
  await prisma.$pubsub.install()
  await prisma.user.createMany({ data: emails(2) })
  await prisma.$pubsub.listen()
  await database.drained()

  expect(await counts(database)).toEqual({ 2: 1 })
  await expect(late[0]).rejects.toMatchObject({ code: 'PGPUBSUB_TRANSACTION_OVER' })
})

test('what a handler does that takes too long is undone, also a statement that still runs', async ({ database }) => {
  await createCounter(database)
  const prisma = database.prisma({ defaults: { attempts: 1, timeoutMs: 1_000 } })
  prisma.user.onPostInsert({ name: 'count', transactional: true }, async ({ new: user, tx }) => {
    await tx.$executeRaw`insert into counter values (${user.id}, 1)`
    if (user.id === 1) await tx.$executeRaw`insert into counter select 100, 1 from pg_sleep(100)`
  })
  const failed = failures(prisma)
  await prisma.$pubsub.install()
  await prisma.user.createMany({ data: emails(2) })
  await prisma.$pubsub.listen()
  await database.drained()

  expect(await counts(database)).toEqual({ 2: 1 })
  expect(failed).toMatchObject([{ code: 'PGPUBSUB_TIMEOUT' }])
})

test('what a stopped worker had not finished is undone, and another does it', async ({ database }) => {
  await createCounter(database)
  const [first, second] = [database.prisma(), database.prisma()]
  let begun: () => void = () => {}
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve
  })
  first.user.onPostInsert({ name: 'count', transactional: true }, async ({ new: user, tx }) => {
    await tx.$executeRaw`insert into counter values (${user.id}, 1)`
    if (user.id === 1) return
    begun()
    await new Promise(() => {})
  })
  second.user.onPostInsert({ name: 'count', transactional: true }, async ({ new: user, tx }) => {
    await tx.$executeRaw`insert into counter values (${user.id}, 2)`
  })
  await first.$pubsub.install()
  await first.user.createMany({ data: emails(3) })
  const worker = await first.$pubsub.listen()
  await hasBegun
  await worker.stop({ graceMs: 0 })

  expect(await counts(database)).toEqual({ 1: 1 })
  expect((await database.notifications()).map(({ attempts }) => attempts)).toEqual([0, 0])
  await second.$pubsub.listen()
  await database.drained()
  expect(await counts(database)).toEqual({ 1: 1, 2: 2, 3: 2 })
})

test('what a handler writes with its tx is captured, with the context that it writes with', async ({ database }) => {
  const prisma = database.prisma({ pollIntervalMs: 600_000 })
  const seen: unknown[] = []
  prisma.user.onPostInsert({ name: 'add-media', transactional: true }, async ({ new: user, tx }) => {
    const add = () => tx.media.create({ data: { url: `of ${user.id}`, ownerId: user.id } })
    await (user.id === 1 ? prisma.$pubsub.withContext({ by: 'handler' }, add) : add())
  })
  prisma.media.onPostInsert('see-media', ({ new: media, context }) => {
    seen.push([media.url, context])
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  await prisma.user.createMany({ data: emails(3) })

  await vi.waitFor(() => expect(seen).toHaveLength(3), { timeout: 10_000 })
  expect(seen.sort()).toEqual([
    ['of 1', { by: 'handler' }],
    ['of 2', {}],
    ['of 3', {}],
  ])
})

test('a handler plans its statements as any other client does', async ({ database }) => {
  const prisma = database.prisma()
  const settings: unknown[] = []
  const names = ['enable_seqscan', 'enable_bitmapscan', 'jit', 'plan_cache_mode', 'statement_timeout']
  const current = names.map((name) => `current_setting('${name}') as ${name}`).join(', ')
  prisma.user.onPostInsert({ name: 'look', transactional: true }, async ({ tx }) => {
    settings.push(...((await tx.$queryRawUnsafe(`select ${current}`)) as unknown[]))
  })
  await prisma.$pubsub.install()
  await prisma.user.create({ data: { email: 'a@example.org' } })
  await prisma.$pubsub.listen()
  await database.drained()

  expect(settings).toEqual(await prisma.$queryRawUnsafe(`select ${current}`))
})

test.for(['commit', 'rollback', ' ROLLBACK work', 'end', 'abort', "prepare transaction 'x'"])(
  'a handler cannot end the transaction of its batch: %s',
  async (sql, { database }) => {
    await createCounter(database)
    const prisma = database.prisma({ defaults: { attempts: 1 } })
    prisma.user.onPostInsert({ name: 'count', transactional: true }, async ({ new: user, tx }) => {
      await tx.$executeRaw`insert into counter values (${user.id}, 1)`
      if (user.id === 1) await tx.$executeRawUnsafe(sql)
      await tx.$executeRawUnsafe('savepoint own')
      await tx.$executeRawUnsafe('rollback to savepoint own')
    })
    const failed = failures(prisma)
    await prisma.$pubsub.install()
    await prisma.user.createMany({ data: emails(2) })
    await prisma.$pubsub.listen()
    await database.drained()

    expect(await counts(database)).toEqual({ 2: 1 })
    expect(failed).toMatchObject([{ code: 'PGPUBSUB_TRANSACTION_CONTROL' }])
  },
)
