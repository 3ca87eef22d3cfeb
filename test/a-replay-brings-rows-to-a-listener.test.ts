import type { ReplayError, ReplayProgress } from '@pgpubsub/prisma-extension'
import { createItems, onItem } from './support/items.ts'
import { seeded } from './support/seeded.ts'
import { describe, expect, type TestDatabase, test, vi } from './support/test.ts'

const createMedia = (database: TestDatabase, count: number) =>
  database.sql(`insert into media (url, title) select 'u' || n, 't' || n from generate_series(1, $1::int) n`, [count])

const numbers = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

test('every row is given once to the listener that is named, with the context of the caller', async ({ database }) => {
  await createMedia(database, 7)
  const prisma = database.prisma()
  const given: unknown[] = []
  prisma.media.onPostSave({ name: 'index', replay: true }, (change) => void given.push(change))
  prisma.media.onPostSave({ name: 'other', replay: true }, () => expect.fail('it is not for this one'))
  await prisma.$pubsub.install()
  const progress: ReplayProgress[] = []
  const onProgress = (told: ReplayProgress) => void progress.push(told)

  const result = await prisma.$pubsub.withContext({ why: 'anew' }, () =>
    prisma.$pubsub.replay(prisma.media, { listener: 'index', batchSize: 3, onProgress }),
  )
  expect(result).toEqual({ stored: 7, last: { id: '7' }, done: true })
  expect(progress.map(({ stored, last }) => [stored, last?.id])).toEqual([
    [3, '3'],
    [6, '6'],
    [7, '7'],
  ])
  expect(await prisma.$pubsub.process()).toEqual({ processed: 7, remaining: 0 })
  expect(given).toHaveLength(7)
  const row = await prisma.media.findFirstOrThrow({ where: { id: 1 } })
  expect(given).toContainEqual(
    expect.objectContaining({
      operation: 'replay',
      old: null,
      new: row,
      changed: expect.arrayContaining(Object.keys(row)),
      context: { why: 'anew' },
      attempt: 1,
    }),
  )
})

test('a filter chooses the rows; the listener stores of them what it stores of changes', async ({ database }) => {
  const prisma = database.prisma()
  const given: unknown[] = []
  const record = (change: { new: object }) => void given.push(change.new)
  const options = { replay: true, columns: ['title'], when: { new: { title: 'never' } } } as const
  prisma.media.onPostSave({ ...options, name: 'omits', omit: { url: true, createdAt: true } }, record)
  prisma.media.onPostSave({ ...options, name: 'selects', select: { title: true }, level: 'statement' }, record)
  prisma.media.onPostSave({ ...options, name: 'keys', keysOnly: true }, record)
  await prisma.$pubsub.install()
  await createMedia(database, 5)
  await prisma.media.update({ where: { id: 2 }, data: { status: 'Clean' } })

  const clean = { where: { status: 'Clean' } } as const
  await prisma.$pubsub.replay(prisma.media, { listener: 'omits', ...clean })
  await prisma.$pubsub.replay('Media', { listener: 'selects', where: { OR: [{ title: 't3' }, { id: { gt: 4 } }] } })
  await prisma.$pubsub.replay({ listener: 'keys', ...clean })
  for (const listeners of [['omits'], ['selects'], ['keys']]) await prisma.$pubsub.process({ listeners })
  const { url: _url, createdAt: _createdAt, ...omitted } = await prisma.media.findFirstOrThrow(clean)
  expect(given.slice(0, 3)).toEqual([omitted, { title: 't3' }, { title: 't5' }])
  // of the others, as of any change with keysOnly, nothing is known
  expect(given.slice(3)).toMatchObject([{ id: 2, title: null, url: null }])
})

test('it goes on where a signal has ended it, by keys of any kind', async ({ database }) => {
  const prisma = database.prisma()
  const given: unknown[] = []
  prisma.ticket.onPostChange({ name: 'tickets', replay: true }, ({ new: ticket }) => void given.push(ticket))
  await prisma.$pubsub.install()
  const rows = ['b', 'a "quoted"', "c'"].flatMap((region) =>
    [3n, 2n ** 60n, -1n].map((number) => ({ region, number, note: null })),
  )
  await prisma.$pubsub.mute(() => prisma.ticket.createMany({ data: rows }))
  let after: Readonly<Record<string, string>> | undefined
  let done = false
  let calls = 0
  for (; !done; calls++) {
    const stop = new AbortController()
    const options = { listener: 'tickets', batchSize: 2, signal: stop.signal, onProgress: () => stop.abort() }
    const result = await prisma.$pubsub.replay(prisma.ticket, after ? { ...options, after } : options)
    after = JSON.parse(JSON.stringify(result.last))
    done = result.done
  }
  expect(calls).toBe(5)
  await prisma.$pubsub.process()
  expect(given).toHaveLength(9)
  expect(given).toEqual(expect.arrayContaining(rows))
  given.length = 0
  await prisma.$pubsub.replay(prisma.ticket, { listener: 'tickets', after: { region: "c'", number: 2n } })
  await prisma.$pubsub.process()
  expect(given).toEqual([rows[6], rows[7]])
})

test('names of any kind, and rows that jsonb cannot hold, are replayed', async ({ database }) => {
  const prisma = database.prisma()
  const given: unknown[] = []
  const record = (change: { new: object }) => void given.push(change.new)
  prisma.longName.onPostSave({ name: 'long', replay: true }, record)
  prisma.everyType.onPostSave({ name: 'every', replay: true }, record)
  await prisma.$pubsub.install()
  await prisma.$pubsub.mute(() => prisma.longName.createMany({ data: [{ value: 'x' }, { value: 'y' }] }))
  await prisma.$pubsub.replay(prisma.longName, { listener: 'long', where: { value: 'y' } })
  await database.sql(`insert into every_type (string, "json text") values ('plain', '{}'), ('nul', '"\\u0000"')`)
  await database.sql('delete from pgpubsub.notification where operation <> $1', ['replay'])
  await prisma.$pubsub.replay(prisma.everyType, { listener: 'every' })
  await prisma.$pubsub.process()
  expect(given.map((row) => (row as { value?: string; string?: string }).value ?? row)).toEqual(
    expect.arrayContaining(['y', expect.objectContaining({ string: 'nul', jsonText: '\0' })]),
  )
  expect(given).toHaveLength(3)
})

describe('while others write', () => {
  test.for([1, 2, 3])('a row is handled in its order, and last as it is (%i)', async (seed, { database }) => {
    await createItems(database)
    await database.sql('insert into item select n, 0 from generate_series(1, 60) n')
    const engine = database.core()
    const handled = new Map<number, number[]>()
    onItem(engine, { replay: true, concurrency: 5 }, ({ old, new: now }) => {
      const { id } = (now ?? old) as { id: number }
      handled.set(id, [...(handled.get(id) ?? []), now ? now.value : -1])
    })
    await engine.install()
    const worker = await engine.listen()
    const random = seeded(seed)
    const pick = (most: number) => 1 + Math.floor(random() * most)
    // each write gives a row a higher value than it had; the second of a transaction keeps the first one's row locked
    const write = async () => {
      const client = await database.pool.connect()
      try {
        await client.query('begin')
        for (const id of [pick(60), pick(60)].sort((a, b) => a - b)) {
          await client.query('update item set value = value + 1 where id = $1', [id])
        }
        if (random() < 0.1) await client.query('delete from item where id = $1 and value > 2', [pick(60)])
        await client.query(random() < 0.2 ? 'rollback' : 'commit')
      } catch (error) {
        await client.query('rollback')
        // their own, of a row deleted out of order: never one with the replay
        if ((error as { code?: string }).code !== '40P01') throw error
      } finally {
        client.release()
      }
    }
    let writing = true
    const writers = [1, 2, 3, 4].map(async () => {
      while (writing) await write()
    })
    let stored = 0
    for (let times = 0; times < 6; times++) {
      stored += (await engine.replay({ listener: 'items', batchSize: pick(20) })).stored
    }
    writing = false
    await Promise.all(writers)
    await database.drained()
    await worker.stop()

    expect(stored).toBeGreaterThan(6 * 10)
    const rows = new Map((await database.sql('select id, value from item')).map(({ id, value }) => [id, value]))
    for (const [id, values] of handled) {
      // a replay may repeat the value before it, and is never older; what is deleted stays so
      const alive = values.filter((value) => value >= 0)
      expect(alive, `row ${id}`).toEqual([...alive].sort((a, b) => a - b))
      expect(values.indexOf(-1) < 0 || values.indexOf(-1) === values.length - 1, `row ${id}`).toBe(true)
      expect(values.at(-1), `row ${id}`).toBe(rows.get(id) ?? -1)
    }
    expect([...handled.keys()].sort((a, b) => a - b)).toEqual(numbers(1, 60))
  })

  test('a row that is being written is waited for alone, and then stored as it is', async ({ database }) => {
    await createItems(database)
    await database.sql('insert into item select n, 0 from generate_series(1, 4) n')
    const engine = database.core()
    onItem(engine, { replay: true }, () => {})
    await engine.install()
    const writer = await database.pool.connect()
    await writer.query('begin; update item set value = 7 where id = 2')
    const replay = engine.replay({ listener: 'items' })
    await vi.waitFor(async () => expect(await database.notifications()).toHaveLength(3), { timeout: 10_000 })
    // it holds no lock that a writer would have to wait for
    await writer.query('update item set value = 8 where id = 3; commit')
    writer.release()
    expect(await replay).toMatchObject({ stored: 4, done: true })
    const ofRow = (id: number) => async () =>
      (await database.notifications()).filter((stored) => (stored.new ?? stored.old).id === id)
    expect((await ofRow(2)()).map((stored) => [stored.operation, stored.new.value])).toEqual([
      ['update', 7],
      ['replay', 7],
    ])
    expect((await ofRow(3)()).map((stored) => [stored.operation, stored.new.value])).toEqual([
      ['replay', 0],
      ['update', 8],
    ])
  })
})

test('a replay is tried again, becomes a dead letter, and is retried, as any change', async ({ database }) => {
  await createMedia(database, 2)
  const prisma = database.prisma()
  const attempts: unknown[] = []
  const options = { name: 'fails', replay: true, attempts: 2, backoff: () => 0 } as const
  prisma.media.onPostInsert(options, ({ operation, attempt, new: { id } }) => {
    attempts.push([operation, id, attempt])
    if (id === 2 && attempts.length < 4) throw new Error('no')
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.replay(prisma.media, { listener: 'fails' })
  while ((await prisma.$pubsub.deadLetters.list({ operation: 'replay' })).length === 0) await prisma.$pubsub.process()
  expect(await prisma.$pubsub.deadLetters.list()).toMatchObject([{ operation: 'replay', old: null, new: { id: 2 } }])
  expect(await prisma.$pubsub.deadLetters.retry({ operation: 'replay' })).toBe(1)
  await prisma.$pubsub.process()
  expect(attempts).toEqual(
    expect.arrayContaining([
      ['replay', 1, 1],
      ['replay', 2, 1],
      ['replay', 2, 2],
      ['replay', 2, 1],
    ]),
  )
  expect(await database.notifications()).toEqual([])
})

test('a sleeping worker is woken, and no more is stored than it has capacity for', async ({ database }) => {
  await createItems(database)
  await database.sql('insert into item select n, n from generate_series(1, 100) n')
  const engine = database.core({ pollIntervalMs: 600_000 })
  const handled: unknown[] = []
  let most = 0
  onItem(engine, { replay: true, highWaterMark: 20 }, async (change) => {
    const [{ count }] = await database.sql('select count(*)::int from pgpubsub.notification')
    most = Math.max(most, count)
    handled.push(change.new?.id)
  })
  await engine.install()
  const worker = await engine.listen()
  await engine.replay({ listener: 'items', batchSize: 5 })
  await vi.waitFor(() => expect(handled).toHaveLength(100), { timeout: 20_000 })
  expect(most).toBeLessThanOrEqual(25)
  await worker.stop()
})

test('what fails on its way tells how far it has come', async ({ database }) => {
  await createItems(database)
  await database.sql('insert into item select n, n from generate_series(1, 10) n')
  const engine = database.core()
  onItem(engine, { replay: true }, () => {})
  await engine.install()
  await database.sql(`create function refuse() returns trigger language plpgsql as $$
    begin if new.new ->> 'id' = '7' then raise exception 'refused'; end if; return new; end $$;
    create trigger refuse before insert on pgpubsub.notification for each row execute function refuse()`)
  const failed: ReplayError = await engine.replay({ listener: 'items', batchSize: 5 }).then(
    () => expect.fail('it must fail'),
    (error) => error,
  )
  expect(failed).toMatchObject({ code: 'PGPUBSUB_REPLAY_FAILED', stored: 5, last: { id: '5' } })
  expect(failed.cause).toMatchObject({ message: 'refused' })
  await database.sql('drop trigger refuse on pgpubsub.notification')
  expect(await engine.replay({ listener: 'items', after: failed.last ?? {} })).toEqual({
    stored: 5,
    last: { id: '10' },
    done: true,
  })
})

test('what cannot be replayed is refused, and said how', async ({ database }) => {
  await database.sql('create table keyless (a int)')
  const prisma = database.prisma()
  const core = database.core({ schema: 'second' })
  prisma.media.onPostSave('plain', () => {})
  prisma.media.onPostSave({ name: 'index', replay: true }, () => {})
  prisma.media.onPostSave({ name: 'cast', delivery: 'broadcast' }, () => {})
  core.onChange({ name: 'keyless', table: 'keyless', replay: true }, () => {})
  core.onChange({ name: 'items', table: 'media', replay: true }, () => {})
  const replay = (options: object) => prisma.$pubsub.replay('Media', options as never)
  const refusals: [() => Promise<unknown>, string, RegExp][] = [
    [() => replay({ listener: 'index' }), 'NOT_INSTALLED', /install/],
    [() => replay({ listener: 'plain' }), 'INVALID_OPTION', /replay: true/],
    [() => replay({ listener: 'cast' }), 'INVALID_OPTION', /broadcast/],
    [() => replay({ listener: 'nobody' }), 'UNKNOWN_LISTENER', /"nobody"/],
    [() => replay({}), 'INVALID_OPTION', /listener/],
    [() => replay({ listener: 'index', batchSize: 0 }), 'INVALID_OPTION', /batchSize/],
    [() => replay({ listener: 'index', max: 1 }), 'INVALID_OPTION', /"max"/],
    [() => replay({ listener: 'index', where: { no: 1 } }), 'UNKNOWN_COLUMN', /"no"/],
    [() => replay({ listener: 'index', where: { id: 'x' } }), 'INVALID_OPTION', /whole number/],
    [() => prisma.$pubsub.replay(prisma.tag, { listener: 'index' }), 'INVALID_OPTION', /Media, not on Tag/],
    [() => prisma.$pubsub.replay(7 as never, { listener: 'index' }), 'INVALID_OPTION', /prisma\.media/],
    [() => prisma.$pubsub.mute(() => replay({ listener: 'index' })), 'INVALID_OPTION', /mute/],
  ]
  for (const [act, code, message] of refusals) {
    await expect(act()).rejects.toMatchObject({ code: `PGPUBSUB_${code}`, message: expect.stringMatching(message) })
  }
  await core.install()
  await expect(core.replay({ listener: 'keyless' })).rejects.toThrow(/has no key/)
  await expect(core.replay({ listener: 'items', where: { gone: 1 } })).rejects.toThrow(/"gone"/)
  await expect(core.replay({ listener: 'items', after: { url: 'x' } })).rejects.toThrow(/fields of the key/)
  expect(() => prisma.media.onPostDelete({ name: 'deletes', replay: true } as never, () => {})).toThrow(
    /neither to inserts/,
  )
  expect(() => prisma.media.onPostSave({ name: 'yes', replay: 'yes' } as never, () => {})).toThrow(/true or false/)
  expect(() =>
    prisma.media.onPostSave({ name: 'both', replay: true, delivery: 'broadcast' } as never, () => {}),
  ).toThrow(/replay: a broadcast is not stored/)
})
