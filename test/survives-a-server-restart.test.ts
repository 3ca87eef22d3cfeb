import type { PubSub, PubSubEvent } from '@pgpubsub/core'
import pg from 'pg'
import { untilAsleep } from './support/asleep.ts'
import { gate } from './support/gate.ts'
import { createItems, type ItemChange, noPoll, onItem, valueAfter } from './support/items.ts'
import { test } from './support/own-server.ts'
import { expect, type TestDatabase, vi } from './support/test.ts'

// five servers start at once
vi.setConfig({ testTimeout: 60_000 })

const crashesAndRestarts = ['SIGINT', 'SIGQUIT', 'SIGKILL'] as const

async function listening(database: TestDatabase, handler: (change: ItemChange) => unknown): Promise<PubSub> {
  await createItems(database)
  const engine = database.core(noPoll)
  onItem(engine, { backoff: () => 10 }, handler)
  await engine.install()
  await engine.listen()
  return engine
}

const next = (engine: PubSub, event: PubSubEvent) =>
  new Promise<void>((resolve) => {
    const forget = engine.on(event, () => {
      forget()
      resolve()
    })
  })

const write = (database: TestDatabase, value: number) => database.sql('insert into item values ($1, $1)', [value])

const codeOf = (error: unknown) => (error as { code?: string }).code

test.concurrent('a worker that sleeps goes on after its server was restarted, stopped at once, or killed', async ({
  database,
  server,
}) => {
  const handled: unknown[] = []
  const engine = await listening(database, (change) => handled.push(valueAfter(change)))
  let value = 0
  for (const signal of crashesAndRestarts) {
    await untilAsleep(database)
    const lost = next(engine, 'connectionLost')
    const restored = next(engine, 'connectionRestored')
    await server.end(signal)
    await lost
    await server.start()
    await write(database, ++value)
    await restored
    await database.drained()
    await untilAsleep(database)
    await write(database, ++value)
    await database.drained()
  }
  expect(handled).toEqual([1, 2, 3, 4, 5, 6])
})

test.concurrent('what was being handled when the server ended is handled again, after it is back', async ({
  database,
  server,
}) => {
  const attempts: number[] = []
  let begun = gate()
  let held = gate()
  await listening(database, async ({ attempt, signal }) => {
    attempts.push(attempt)
    begun.open()
    await Promise.race([held.opened, new Promise((resolve) => signal.addEventListener('abort', resolve))])
  })
  let value = 0
  for (const signal of crashesAndRestarts) {
    attempts.length = 0
    begun = gate()
    held = gate()
    await write(database, ++value)
    await begun.opened
    await server.end(signal)
    held.open()
    await server.start()
    await database.drained()
    expect(attempts, signal).toEqual([1, 1])
  }
})

test.concurrent('a server that is away for longer than the longest pause between two attempts is waited for', async ({
  database,
  server,
}) => {
  const handled: unknown[] = []
  const engine = await listening(database, (change) => handled.push(valueAfter(change)))
  let refused = 0
  engine.on('error', ({ error, listener }) => {
    if (!listener && codeOf(error) === 'ECONNREFUSED') refused++
  })
  await untilAsleep(database)
  await server.end('SIGINT')
  // seven pauses grow from 50 to 3200 ms; those before the eighth and the next attempt are the longest, 5 s
  await vi.waitFor(() => expect(refused).toBe(8), { timeout: 40_000, interval: 50 })
  const restored = next(engine, 'connectionRestored')
  await server.start()
  await write(database, 1)
  await restored
  await database.drained()
  expect(handled).toEqual([1])
})

test.concurrent('a server that turns new connections away, as while it shuts down, is tried again', async ({
  database,
  server,
}) => {
  const handled: unknown[] = []
  const engine = await listening(database, (change) => handled.push(valueAfter(change)))
  await untilAsleep(database)
  const refused = new Promise<void>((resolve) => {
    engine.on('error', ({ error, listener }) => {
      if (!listener && codeOf(error) === '57P03') resolve()
    })
  })
  const last = new pg.Client(database.url)
  await last.connect()
  const ended = server.end('SIGTERM') // waits for the last client
  await vi.waitFor(() => expect(connecting(database)).rejects.toMatchObject({ code: '57P03' }), { timeout: 10_000 })
  await last.query('select pg_terminate_backend(pid) from pg_stat_activity where application_name like $1', [
    'pgpubsub%',
  ])
  await refused
  await last.query('select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()')
  await last.end()
  await ended
  const restored = next(engine, 'connectionRestored')
  await server.start()
  await write(database, 1)
  await restored
  await database.drained()
  expect(handled).toEqual([1])
})

test.concurrent('after a restart, no claim is given a connection from before', async ({ database, server }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const names = ['a', 'b', 'c', 'd', 'e', 'f']
  const handled: string[] = []
  for (const name of names) onItem(engine, { name }, () => handled.push(name))
  await engine.install()
  await engine.listen()
  await write(database, 1)
  await database.drained()
  await untilAsleep(database, names.length)
  const broken: unknown[] = []
  const restored = next(engine, 'connectionRestored')
  await server.end('SIGKILL')
  await server.start()
  engine.on('error', ({ error, listener }) => {
    if (listener && codeOf(error) !== 'ECONNREFUSED' && codeOf(error) !== '57P03') broken.push(error)
  })
  await write(database, 2)
  await restored
  await database.drained()
  expect(handled.sort()).toEqual([...names, ...names].sort())
  expect(broken).toEqual([])
})

async function connecting(database: TestDatabase): Promise<void> {
  const client = new pg.Client(database.url)
  await client.connect()
  await client.end()
}
