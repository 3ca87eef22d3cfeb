import dns from 'node:dns'
import { createServer } from 'node:net'
import { PubSub, type PubSubEvent, silentLogger } from '@pgpubsub/core'
import pg from 'pg'
import { untilAsleep } from './support/asleep.ts'
import { gate } from './support/gate.ts'
import { createItems, type ItemChange, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

async function engine(database: TestDatabase, handler: (change: ItemChange) => unknown): Promise<PubSub> {
  await createItems(database)
  const made = database.core(noPoll)
  onItem(made, { backoff: () => 10 }, handler)
  await made.install()
  return made
}

const next = (from: PubSub, event: PubSubEvent) => new Promise((resolve) => from.on(event, resolve))

const kill = (database: { query(text: string, values: string[]): unknown }, application: string, state = '') =>
  database.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = $1 and $2 in ('', state)`,
    [application, state],
  )

test('a LISTEN connection that is killed comes back, and what was written meanwhile is handled', async ({
  database,
}) => {
  const handled: unknown[] = []
  const listening = await engine(database, (change) => handled.push(valueAfter(change)))
  await listening.listen()
  for (const value of [1, 2, 3]) {
    await untilAsleep(database)
    const lost = next(listening, 'connectionLost')
    const restored = next(listening, 'connectionRestored')
    await kill(database.pool, 'pgpubsub listen')
    await lost
    await database.sql('insert into item values ($1, $1)', [value])
    await restored
    await database.drained()
  }
  await untilAsleep(database)
  await database.sql('insert into item values (4, 4)')
  await database.drained()
  expect(handled).toEqual([1, 2, 3, 4])
})

test('a connection that is killed in the middle of a batch ends neither the process nor the queue', async ({
  database,
}) => {
  const begun = gate()
  const held = gate()
  const attempts: number[] = []
  const listening = await engine(database, async ({ attempt }) => {
    attempts.push(attempt)
    begun.open()
    await held.opened
  })
  const errors: unknown[] = []
  listening.on('error', ({ error }) => errors.push(error))
  await listening.listen()
  await database.sql('insert into item values (1, 1)')
  await begun.opened
  // no statement is running on it: only the connection itself can tell
  await kill(database.pool, 'pgpubsub', 'idle in transaction')
  await vi.waitFor(() => expect(errors).toHaveLength(1))
  held.open()
  await database.drained()
  expect(attempts, 'a lost connection is no failed attempt').toEqual([1, 1])
  expect(errors).toHaveLength(1)
})

test('while connections are killed again and again, every change is handled', async ({ database }) => {
  const handled = new Set<unknown>()
  const listening = await engine(database, (change) => handled.add(valueAfter(change)))
  await listening.listen()
  for (let value = 1; value <= 30; value++) {
    await database.sql('insert into item values ($1, $1)', [value])
    if (value % 5 === 0) await kill(database.pool, 'pgpubsub')
    if (value % 7 === 0) await kill(database.pool, 'pgpubsub listen')
  }
  await database.drained()
  expect(handled.size).toBe(30)
})

test('a database that refuses connections for a while is waited for, and then drained', async ({ database }) => {
  const handled: unknown[] = []
  const listening = await engine(database, (change) => handled.push(valueAfter(change)))
  await listening.listen()
  const name = new URL(database.url).pathname.slice(1)
  const server = new pg.Client(new URL('/postgres', database.url).href)
  await server.connect()
  const lost = next(listening, 'connectionLost')
  const failed = next(listening, 'error')
  const restored = next(listening, 'connectionRestored')
  const writer = await database.pool.connect()
  try {
    await server.query(`alter database ${name} allow_connections false`)
    await kill(writer, 'pgpubsub listen')
    await kill(writer, 'pgpubsub')
    await Promise.all([lost, failed])
    await writer.query('insert into item values (1, 1)')
    await server.query(`alter database ${name} allow_connections true`)
  } finally {
    writer.release()
    await server.end()
  }
  await restored
  await database.drained()
  expect(handled).toEqual([1])
})

test('a host name that cannot be resolved for a while is asked for again', async ({ database }) => {
  await createItems(database)
  const url = new URL(database.url)
  const name = names(url.hostname)
  database.closeLater(name.forget)
  url.hostname = name.host
  const handled: unknown[] = []
  const listening = database.core({ ...noPoll, connectionString: url.href })
  onItem(listening, {}, (change) => handled.push(valueAfter(change)))
  await listening.install()
  await listening.listen()
  await untilAsleep(database)
  name.fail()
  const failures = { line: 0, claims: 0 }
  listening.on('error', ({ error, listener }) => {
    if ((error as { code?: string }).code === 'ENOTFOUND') failures[listener ? 'claims' : 'line']++
  })
  await kill(database.pool, 'pgpubsub')
  await kill(database.pool, 'pgpubsub listen')
  await vi.waitFor(() => expect(Math.min(failures.line, failures.claims)).toBeGreaterThan(1), { timeout: 10_000 })
  const restored = next(listening, 'connectionRestored')
  await database.sql('insert into item values (1, 1)')
  name.recover()
  await restored
  await database.drained()
  expect(handled).toEqual([1])
})

test('a server that cannot be reached at the start is an error of listen()', async () => {
  const closed = await closedPort()
  const unreachable = new PubSub({ connectionString: `postgresql://a:b@127.0.0.1:${closed}/c`, logger: silentLogger })
  onItem(unreachable, {}, () => {})
  await expect(unreachable.listen()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await unreachable.close()
})

test('a LISTEN address that cannot be reached is an error of listen(), and nothing is left running', async ({
  database,
}) => {
  await createItems(database)
  const listening = database.core({
    ...noPoll,
    listenConnectionString: `postgresql://a:b@127.0.0.1:${await closedPort()}/c`,
  })
  onItem(listening, {}, () => {})
  await listening.install()
  await expect(listening.listen()).rejects.toMatchObject({ code: 'ECONNREFUSED' })
})

/** A host name that this process resolves to `target`, as long as it is not told to fail. */
function names(target: string) {
  const host = 'database.test'
  const { lookup } = dns
  let fails = false
  const patched = (name: string, options: dns.LookupOptions, callback: (error: Error | null) => void) => {
    if (name !== host) return lookup(name, options, callback)
    if (!fails) return lookup(target, options, callback)
    setImmediate(() => callback(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' })))
  }
  dns.lookup = patched as typeof dns.lookup
  return {
    host,
    fail() {
      fails = true
    },
    recover() {
      fails = false
    },
    async forget() {
      dns.lookup = lookup
    },
  }
}

function closedPort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
