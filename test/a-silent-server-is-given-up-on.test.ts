import type { PubSub, PubSubEvent } from '@pgpubsub/core'
import { untilAsleep } from './support/asleep.ts'
import { type BrokenNetwork, brokenNetwork } from './support/broken-network.ts'
import { gate } from './support/gate.ts'
import { createItems, type ItemChange, onItem, valueAfter } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const impatient = { answerTimeoutMs: 1_000, pollIntervalMs: 50 }

interface Listening {
  engine: PubSub
  proxy: BrokenNetwork
}

async function listening(database: TestDatabase, handler: (change: ItemChange) => unknown): Promise<Listening> {
  await createItems(database)
  const proxy = await brokenNetwork(database)
  const engine = database.core({ ...impatient, connectionString: proxy.url })
  onItem(engine, { backoff: () => 10 }, handler)
  const patient = database.core()
  onItem(patient, {}, () => {})
  await patient.install()
  return { engine, proxy }
}

const next = (engine: PubSub, event: PubSubEvent) => new Promise((resolve) => engine.on(event, resolve))

const write = (database: TestDatabase, value: number) => database.sql('insert into item values ($1, $1)', [value])

test('a server that falls silent, and accepts connections without a word, is tried until it answers again', async ({
  database,
}) => {
  const handled: unknown[] = []
  const { engine, proxy } = await listening(database, (change) => handled.push(valueAfter(change)))
  await engine.listen()
  await write(database, 1)
  await database.drained()
  await untilAsleep(database)
  const lost = next(engine, 'connectionLost')
  const refused = { line: 0, claims: 0 }
  proxy.fallSilent()
  await write(database, 2)
  await lost
  engine.on('error', ({ listener }) => refused[listener ? 'claims' : 'line']++)
  await vi.waitFor(() => expect(Math.min(refused.line, refused.claims)).toBeGreaterThan(1), { timeout: 10_000 })
  const restored = next(engine, 'connectionRestored')
  proxy.recover()
  await restored
  await database.drained()
  expect(handled).toEqual([1, 2])
})

test('a server that falls silent while handlers run is given up on, and what they did is repeated', async ({
  database,
}) => {
  const begun = gate()
  const held = gate()
  const attempts: number[] = []
  const { engine, proxy } = await listening(database, async ({ attempt }) => {
    attempts.push(attempt)
    begun.open()
    await held.opened
  })
  await engine.listen()
  await write(database, 1)
  await begun.opened
  const failed = new Promise<unknown>((resolve) => {
    engine.on('error', ({ error, listener }) => listener && resolve(error))
  })
  proxy.fallSilent()
  held.open()
  expect(await failed).toMatchObject({ message: 'Query read timeout' })
  proxy.recover()
  await database.drained()
  expect(attempts).toEqual([1, 1])
})

test('a server that turns a connection away, and does not close it, is tried again', async ({ database }) => {
  const handled: unknown[] = []
  const { engine, proxy } = await listening(database, (change) => handled.push(valueAfter(change)))
  await engine.listen()
  await untilAsleep(database)
  let refused = 0
  engine.on('error', ({ error, listener }) => {
    if (!listener && (error as { code?: string }).code === '53300') refused++
  })
  proxy.turnAway()
  await vi.waitFor(() => expect(refused).toBeGreaterThan(1), { timeout: 10_000 })
  const restored = next(engine, 'connectionRestored')
  proxy.recover()
  await write(database, 1)
  await restored
  await database.drained()
  expect(handled).toEqual([1])
})

test('connections that are cut come back at once', async ({ database }) => {
  const handled: unknown[] = []
  const { engine, proxy } = await listening(database, (change) => handled.push(valueAfter(change)))
  await engine.listen()
  for (const value of [1, 2, 3]) {
    await untilAsleep(database)
    const restored = next(engine, 'connectionRestored')
    proxy.cut()
    await write(database, value)
    await restored
    await database.drained()
  }
  expect(handled).toEqual([1, 2, 3])
})

test('a worker stops, and its engine closes, whether the server answers or not', async ({ database }) => {
  const { engine, proxy } = await listening(database, () => {})
  const worker = await engine.listen()
  await untilAsleep(database)
  proxy.fallSilent()
  await worker.stop()
  await engine.close()
  proxy.recover()
})

test('listen() fails where the server does not answer', async ({ database }) => {
  const { proxy } = await listening(database, () => {})
  const unconnected = database.core({ ...impatient, connectionString: proxy.url })
  onItem(unconnected, {}, () => {})
  proxy.fallSilent()
  await expect(unconnected.listen()).rejects.toThrow('timeout')
})
