import { PubSub, silentLogger } from '@pgpubsub/core'
import { advance, drain } from '@pgpubsub/prisma-extension/testing'
import { z } from 'zod'
import { countingPool } from './support/counting-pool.ts'
import { gate } from './support/gate.ts'
import { createItems, holdItems, onItem } from './support/items.ts'
import { expect, test } from './support/test.ts'

const closed = { code: 'PGPUBSUB_CLOSED', message: expect.stringContaining('make a new client') }

test('whatever asks the database is refused, says so, and opens no connection', async ({ database }) => {
  const prisma = database.prisma()
  const { $pubsub } = prisma
  prisma.media.onPostInsert({ name: 'scan', highWaterMark: 5, replay: true }, () => {})
  const channel = $pubsub.channel('scanned', z.number())
  await $pubsub.install()
  await $pubsub.close()
  const calls = {
    install: () => $pubsub.install(),
    sql: () => $pubsub.sql(),
    check: () => $pubsub.check(),
    doctor: () => $pubsub.doctor(),
    listen: () => $pubsub.listen(),
    process: () => $pubsub.process(),
    pause: () => $pubsub.pause('scan'),
    resume: () => $pubsub.resume('scan'),
    status: () => $pubsub.status(),
    waitForCapacity: () => $pubsub.waitForCapacity('scan'),
    replay: () => $pubsub.replay({ listener: 'scan' }),
    list: () => $pubsub.deadLetters.list(),
    retry: () => $pubsub.deadLetters.retry({ listener: 'scan' }),
    publish: () => channel.publish(1),
    drain: () => drain(prisma),
    advance: () => advance(prisma, 1),
  }
  for (const [name, call] of Object.entries(calls)) await expect.soft(call(), name).rejects.toMatchObject(closed)
  const left = `select from pg_stat_activity where application_name like 'pgpubsub%' and datname = current_database()`
  expect(await database.sql(left)).toEqual([])
})

test('nor is a pool of the user asked', async ({ database }) => {
  await createItems(database)
  const { pool, taken } = countingPool(database)
  const engine = new PubSub({ pool, logger: silentLogger })
  onItem(engine, {}, () => {})
  await engine.install()
  await engine.close()
  const before = taken()
  for (const call of [() => engine.listen(), () => engine.process(), () => engine.status()])
    await expect(call()).rejects.toMatchObject(closed)
  expect(taken()).toBe(before)
})

test('what needs no connection of the engine goes on: writes of Prisma, contexts, messages in a transaction', async ({
  database,
}) => {
  const prisma = database.prisma()
  const { $pubsub } = prisma
  prisma.media.onPostInsert('scan', () => {})
  const channel = $pubsub.channel('scanned', z.number())
  channel.on('mail', () => {})
  await $pubsub.install()
  await $pubsub.close()
  await $pubsub.withContext({ userId: 7 }, () =>
    prisma.$transaction(async (tx) => {
      await tx.media.create({ data: { url: 'x', title: 'a' } })
      await channel.publish(1, { tx })
    }),
  )
  expect(await database.notifications()).toMatchObject([
    { listener: 'scan', context: { userId: 7 } },
    { listener: 'mail', new: 1, context: { userId: 7 } },
  ])
})

test('handlers that run while it closes are still answered', async ({ database }) => {
  await createItems(database)
  const engine = database.core()
  const { begun, held } = holdItems(engine, { name: 'held' })
  const seen: unknown[] = []
  const asking = gate()
  onItem(engine, { name: 'asking' }, async () => {
    asking.open()
    await held.opened
    seen.push(...(await engine.status()).map(({ running }) => running))
  })
  await engine.install()
  await database.sql('insert into item values (1, 1)')
  await engine.listen()
  await Promise.all([begun.opened, asking.opened])
  const closing = engine.close()
  await expect(engine.listen()).rejects.toMatchObject(closed)
  held.open()
  await closing
  expect(seen).toHaveLength(2)
  expect(await database.notifications()).toEqual([])
})

test('what is being started when it closes begins nothing, and ends; closing twice is closing once', async ({
  database,
}) => {
  await createItems(database)
  const [listening, processing] = [database.core(), database.core()]
  for (const engine of [listening, processing]) onItem(engine, {}, () => {})
  await listening.install()
  await database.sql('insert into item values (1, 1)')
  const result = processing.process()
  await Promise.all([processing.close(), processing.close()])
  expect(await result).toEqual({ processed: 0, remaining: 1 })
  const worker = listening.listen()
  await listening.close()
  await (await worker).stopped
  await listening.close()
})
