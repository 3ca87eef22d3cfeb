import type { Broadcast, PostChange } from '@pgpubsub/prisma-extension'
import pg from 'pg'
import { z } from 'zod'
import { gate } from './support/gate.ts'
import { createItems, noPoll, onItem } from './support/items.ts'
import { clientOfNewRole } from './support/new-role.ts'
import { expect, type TestClient, test, vi } from './support/test.ts'

const broadcast = { delivery: 'broadcast' } as const

/** Declares a listener of broadcasts on the media, and notes what it is given. */
function noteMedia(prisma: TestClient, name = 'media') {
  const noted: Broadcast<PostChange<TestClient['media']>>[] = []
  prisma.media.onPostChange({ name, ...broadcast }, (change) => noted.push(change))
  return noted
}

test('each worker is given every change after its commit, typed, with the context; nothing is stored', async ({
  database,
}) => {
  const clients = [database.prisma(noPoll), database.prisma(noPoll)] as const
  const noted = clients.map((client) => noteMedia(client))
  await clients[0].$pubsub.install()
  for (const client of clients) await client.$pubsub.listen()
  const writer = database.prisma()
  await writer.$pubsub.withContext({ userId: 7 }, () =>
    writer.$transaction(async (tx) => {
      await tx.media.create({ data: { id: 1, url: 'a', tags: { create: { label: 'x' } } } })
      await tx.media.update({ where: { id: 1 }, data: { title: 'b', status: 'Clean' } })
      expect(noted.flat()).toEqual([])
    }),
  )
  await expect(
    writer.$transaction(async (tx) => {
      await tx.media.create({ data: { id: 2, url: 'never' } })
      throw new Error('no')
    }),
  ).rejects.toThrow('no')
  await writer.media.delete({ where: { id: 1 } })
  await vi.waitFor(() => expect(noted.map(({ length }) => length)).toEqual([3, 3]))
  for (const [inserted, updated, deleted] of noted) {
    const row = { id: 1, url: 'a', title: null, status: 'Pending', ownerId: null }
    expect(inserted).toMatchObject({ operation: 'insert', old: null, new: row, truncated: false, attempt: 1 })
    expect(inserted?.new?.createdAt).toBeInstanceOf(Date)
    expect(inserted?.createdAt.getTime()).toBeGreaterThan(Date.now() - 60_000)
    expect(updated).toMatchObject({ old: row, new: { title: 'b', status: 'Clean' }, context: { userId: 7 } })
    expect(updated?.changed).toEqual(['title', 'status'])
    expect(deleted).toMatchObject({ operation: 'delete', old: { title: 'b' }, new: null, context: {} })
    expect(deleted?.id).toBeGreaterThan(updated?.id as bigint)
  }
  expect(await database.notifications()).toEqual([])
})

test('what nobody listens to is lost, and a durable listener beside it is not disturbed', async ({ database }) => {
  const prisma = database.prisma(noPoll)
  const noted = noteMedia(prisma)
  const durable: unknown[] = []
  prisma.media.onPostInsert('durable', ({ new: media }) => durable.push(media.url))
  await prisma.$pubsub.install()
  await prisma.media.create({ data: { url: 'before' } })
  const worker = await prisma.$pubsub.listen()
  await prisma.media.create({ data: { url: 'now' } })
  await database.drained()
  await vi.waitFor(() => expect(noted.map((change) => change.new?.url)).toEqual(['now']))
  await worker.stop()
  await prisma.media.create({ data: { url: 'after' } })
  expect(durable.sort()).toEqual(['before', 'now'])
  expect(noted).toHaveLength(1)
})

test('equal changes and equal messages in one transaction all arrive', async ({ database }) => {
  await createItems(database)
  const core = database.core(noPoll)
  const values: unknown[] = []
  onItem(core, broadcast, (change) => values.push(change.new?.value))
  const channel = core.channel('a', z.string())
  channel.on({ name: 'messages', ...broadcast }, ({ payload, truncated }) => values.push([payload, truncated]))
  await core.install()
  await core.listen()
  await database.sql(`begin; insert into item values (1, 1); update item set value = 2; update item set value = 1;
    update item set value = 2; select pgpubsub.publish('a', '"same"'), pgpubsub.publish('a', '"same"'); commit`)
  await vi.waitFor(() => expect(values).toHaveLength(6))
  expect(values).toEqual([1, 2, 1, 2, ['same', false], ['same', false]])
})

test('what is too large arrives with its key alone, however large, and never fails the write', async ({ database }) => {
  const prisma = database.prisma(noPoll)
  const noted = noteMedia(prisma)
  const long = 'a name of a listener that has as many bytes as there may be: 63'
  const noted63 = noteMedia(prisma, long)
  const keyed: unknown[] = []
  await createItems(database, 'id text primary key, value int')
  const core = database.core({ ...noPoll, schema: 'other' })
  onItem(core, broadcast, (change) => keyed.push(change))
  await prisma.$pubsub.install()
  await core.install()
  await prisma.$pubsub.listen()
  await core.listen()
  const large = 'é'.repeat(4_000)
  for (const length of [7_000, 7_999, 8_000, 1_000_000]) {
    await prisma.media.create({ data: { url: 'x'.repeat(length) } })
  }
  await prisma.media.update({ where: { id: 1 }, data: { title: large } })
  await prisma.$pubsub.withContext({ large }, () => prisma.media.delete({ where: { id: 1 } }))
  await database.sql(`insert into item values (repeat('x', 2600) || md5('a'), 1)`)
  await database.sql(`begin; set local pgpubsub.notification_context = '${JSON.stringify({ large })}';
    update item set value = 2; commit`)
  await vi.waitFor(() => expect([noted.length, noted63.length, keyed.length]).toEqual([6, 6, 2]))
  expect(noted.map((change) => change.truncated)).toEqual([false, true, true, true, true, true])
  expect(noted[3]).toMatchObject({ operation: 'insert', old: null })
  expect(noted[3]?.new).toEqual({ id: 4 })
  const { old, new: now, changed } = noted[4] as (typeof noted)[number]
  expect({ old, now, changed }).toEqual({ old: { id: 1 }, now: { id: 1 }, changed: ['title'] })
  expect(noted[5]).toMatchObject({ operation: 'delete', old: { id: 1 }, new: null, context: {} })
  expect(keyed[1]).toMatchObject({ operation: 'update', old: { id: expect.any(String) }, context: {}, truncated: true })
})

test('a key that is too large is left out, and so is everything where there is no key', async ({ database }) => {
  await database.sql('create table item (id text, value int)')
  const core = database.core(noPoll)
  const noted: { old: unknown; new: unknown }[] = []
  onItem(core, { ...broadcast, operations: ['insert', 'truncate'] }, (change) => noted.push(change))
  await database.sql('create table wide (id text primary key)')
  core.onChange({ table: 'wide', name: 'wide', ...broadcast }, (change) => noted.push(change))
  await core.install()
  await core.listen()
  await database.sql(`insert into item values (repeat('x', 9000), 1)`)
  await database.sql('truncate item')
  await database.sql(`insert into wide values (repeat('x', 9000))`)
  await vi.waitFor(() => expect(noted).toHaveLength(3))
  expect(noted[0]).toMatchObject({ operation: 'insert', old: null, new: {}, truncated: true })
  expect(noted[1]).toMatchObject({ operation: 'truncate', old: null, new: null, truncated: false })
  expect(noted[2]).toMatchObject({ operation: 'insert', old: null, new: {}, truncated: true })
})

test('at the very limit a change is sent or truncated, a message sent or refused, and nothing else happens', async ({
  database,
}) => {
  await createItems(database, 'id int primary key, value text')
  const core = database.core(noPoll)
  let whole = 0
  let truncated = 0
  onItem(core, broadcast, (change) => ('truncated' in change && change.truncated ? truncated++ : whole++))
  const channel = core.channel('a', z.string())
  let told = 0
  channel.on({ name: 'messages', ...broadcast, concurrency: 1 }, () => void told++)
  await core.install()
  await core.listen()
  await database.sql(`insert into item select n, repeat('x', n) from generate_series(7700, 7999) n`)
  await vi.waitFor(() => expect(whole + truncated).toBe(300))
  expect([whole > 0, truncated > 0]).toEqual([true, true])
  const publishing = Array.from({ length: 160 }, (_, index) => channel.publish('x'.repeat(7_790 + index)))
  const refused = (await Promise.allSettled(publishing)).flatMap((one) =>
    one.status === 'rejected' ? [one.reason] : [],
  )
  await vi.waitFor(() => expect(told).toBe(160 - refused.length))
  expect(told).toBeGreaterThan(0)
  expect([...new Set(refused.map(({ code }) => code))]).toEqual(['PGPUBSUB_INVALID_MESSAGE'])
})

test('a message that is too large is refused, also in a transaction, and from SQL', async ({ database }) => {
  const prisma = database.prisma(noPoll)
  const channel = prisma.$pubsub.channel('a', z.string())
  channel.on({ name: 'all', ...broadcast }, () => {})
  channel.on('durable', () => {})
  await prisma.$pubsub.install()
  const large = 'x'.repeat(8_000)
  const refused = { code: 'PGPUBSUB_INVALID_MESSAGE', message: expect.stringContaining('too large') }
  await expect(channel.publish(large)).rejects.toMatchObject(refused)
  await expect(prisma.$transaction((tx) => channel.publish(large, { tx }))).rejects.toMatchObject(refused)
  await expect(database.sql(`select pgpubsub.publish('a', $1)`, [JSON.stringify(large)])).rejects.toMatchObject({
    code: '54000',
  })
  expect(await database.notifications()).toEqual([])
})

test('handlers run side by side up to their concurrency, a failure is told and not repeated', async ({ database }) => {
  await createItems(database)
  const core = database.core(noPoll)
  const held = gate()
  let running = 0
  let most = 0
  onItem(core, { ...broadcast, concurrency: 3, timeoutMs: 10_000 }, async (change) => {
    most = Math.max(most, ++running)
    await held.opened
    running--
    if (change.new?.id === 2) throw new Error('once')
  })
  const failed = vi.fn()
  const handled = vi.fn()
  core.on('failed', failed)
  core.on('handled', handled)
  await core.install()
  await core.listen()
  await database.sql('insert into item select n, n from generate_series(1, 10) n')
  await vi.waitFor(() => expect(running).toBe(3))
  held.open()
  await vi.waitFor(() => expect(handled).toHaveBeenCalledTimes(9))
  expect(most).toBe(3)
  expect(failed).toHaveBeenCalledTimes(1)
  expect(failed.mock.calls[0]?.[0]).toMatchObject({ attempt: 1, dead: false, broadcast: true })
  expect(await core.status()).toMatchObject([{ listener: 'items', ready: 0, scheduled: 0, dead: 0 }])
})

test('what comes faster than it is handled is kept up to a number, and then lost, which is told', async ({
  database,
}) => {
  await createItems(database)
  const core = database.core(noPoll)
  const held = gate()
  let handled = 0
  const errors: unknown[] = []
  onItem(core, { ...broadcast, concurrency: 1 }, async () => {
    await held.opened
    handled++
  })
  core.on('error', ({ error }) => errors.push(error))
  await core.install()
  await core.listen()
  await database.sql('insert into item select n, n from generate_series(1, 10010) n')
  await vi.waitFor(() => expect(errors).toMatchObject([{ code: 'PGPUBSUB_BROADCAST_LOST' }]), { timeout: 10_000 })
  held.open()
  await vi.waitFor(() => expect(handled).toBe(10_001))
  expect(errors).toHaveLength(1)
})

test('a stop lets what runs end for its grace period, and begins nothing more', async ({ database }) => {
  await createItems(database)
  const core = database.core(noPoll)
  const begun = gate()
  const values: unknown[] = []
  onItem(core, { ...broadcast, concurrency: 1 }, async (change) => {
    values.push(change.new?.value)
    begun.open()
    await new Promise((resolve) => change.signal.addEventListener('abort', resolve))
  })
  await core.install()
  const worker = await core.listen()
  await database.sql('insert into item values (1, 1), (2, 2)')
  await begun.opened
  await worker.stop({ graceMs: 50 })
  expect(values).toEqual([1])
})

test('the connection comes back, and is told again', async ({ database }) => {
  const core = database.core(noPoll)
  const told: unknown[] = []
  const channel = core.channel('a', z.number())
  channel.on({ name: 'all', ...broadcast }, ({ payload }) => told.push(payload))
  await core.install()
  await core.listen()
  await channel.publish(1)
  await vi.waitFor(() => expect(told).toEqual([1]))
  const restored = new Promise((resolve) => core.on('connectionRestored', resolve))
  await database.sql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'pgpubsub listen'`)
  await restored
  await channel.publish(2)
  await vi.waitFor(() => expect(told).toEqual([1, 2]))
})

test('whatever anyone sends on its NOTIFY channel harms nobody', async ({ database }) => {
  await createItems(database)
  const core = database.core(noPoll)
  const values: unknown[] = []
  const errors: unknown[] = []
  onItem(core, broadcast, (change) => values.push(change.new?.value))
  core.channel('a', z.number()).on({ name: 'messages', ...broadcast }, ({ payload }) => values.push(payload))
  core.on('error', ({ error }) => errors.push(error))
  await core.install()
  await core.listen()
  const frame = { id: 1, at: 0, operation: 'insert', new: { id: 1, value: 'forged' } }
  const payloads = [
    ...[
      '',
      '{',
      '{"',
      '{"id"',
      '{"id":',
      '[1,2',
      'null',
      '1',
      '"x"',
      '[]',
      '{}',
      '{"constructor":1}',
      'items',
      '\u0001🙂',
    ],
    ...[{ id: 'x' }, { id: null }, { at: 'x' }, { at: 1e300 }, { operation: 'x' }, { operation: null }].map((wrong) =>
      JSON.stringify({ ...frame, ...wrong }),
    ),
    'x'.repeat(7_900),
    '['.repeat(7_900),
  ]
  const { rows } = await database.pool.query('select notify_channel from pgpubsub.listener')
  for (const { notify_channel } of rows) {
    for (const payload of payloads) await database.sql('select pg_notify($1, $2)', [notify_channel, payload])
  }
  await database.sql(`notify ${pg.escapeIdentifier('pgpubsub broadcast items')}`)
  await database.sql('insert into item values (1, 1)')
  await database.sql(`select pgpubsub.publish('a', '2'), pgpubsub.publish('a', '"x"')`)
  await vi.waitFor(() => expect(values).toEqual([1, 2]))
  expect(errors).toEqual([])
})

test('a role that may only write the table broadcasts, and may send none by itself', async ({ database }) => {
  await createItems(database)
  const core = database.core(noPoll)
  const values: unknown[] = []
  onItem(core, broadcast, (change) => values.push(change.new?.value))
  await core.install()
  await core.listen()
  const { client, role } = await clientOfNewRole(database, ['insert on item'])
  await client.query('insert into item values (1, 1)')
  await vi.waitFor(() => expect(values).toEqual([1]))
  await database.sql(`grant usage on schema pgpubsub to ${role}`)
  await expect(client.query(`select pgpubsub.broadcast('x', '', '', '{}', null, null)`)).rejects.toMatchObject({
    code: '42501',
  })
})

test('a change of the delivery is installed, and what contradicts it is refused at once', async ({ database }) => {
  await createItems(database)
  const durable = database.core(noPoll)
  onItem(durable, {}, () => {})
  await durable.install()
  const core = database.core(noPoll)
  onItem(core, broadcast, () => {})
  expect((await core.doctor()).map(({ code }) => code)).toContain('trigger-outdated')
  expect((await core.install()).replaced).toHaveLength(3)
  await database.sql('insert into item values (1, 1)')
  expect(await database.notifications()).toEqual([])
  await expect(core.pause('items')).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  const deaf = database.core({ listenConnectionString: false })
  onItem(deaf, broadcast, () => {})
  await expect(deaf.listen()).rejects.toMatchObject({ code: 'PGPUBSUB_INVALID_OPTION' })
  const invalid = expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION' })
  for (const option of [
    ...[{ order: 'none' }, { wake: 'idle' }, { batchSize: 1 }, { attempts: 1 }, { backoff: () => 1 }],
    ...[{ highWaterMark: 1 }, { transactional: true }, { lease: { seconds: 1 } }, { batch: { size: 1 } }],
    ...[{ level: 'statement' }, { delivery: 'all' }],
  ]) {
    const declare = () => onItem(core, { name: 'wrong', ...broadcast, ...(option as object) }, () => {})
    expect(declare, JSON.stringify(option)).toThrow(invalid)
  }
  // defaults of all listeners are no contradiction
  const defaults = database.core({ defaults: { attempts: 3, order: 'row', wake: 'always' } })
  onItem(defaults, broadcast, () => {})
})
