import type { Socket } from 'node:net'
import type { PubSub, PubSubOptions } from '@pgpubsub/core'
import pg from 'pg'
import { type Gate, gate } from './support/gate.ts'
import { createItems, noPoll, onItem } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

interface Wire {
  bind(): void
  readonly stream: Socket
  readonly parsedStatements: Record<string, string>
}

/** Whether the engine's batches have been on it. */
const isEngines = (wire: Wire) => Object.keys(wire.parsedStatements).some((name) => name.startsWith('pgpubsub_'))

/** The statements of the engine's batches, as they are made up. */
class Watched implements Disposable {
  readonly #bind = vi.spyOn(pg.Connection.prototype as unknown as Wire, 'bind')

  get #wires(): Wire[] {
    return (this.#bind.mock.contexts as Wire[]).filter(isEngines)
  }

  /** How many there were so far. */
  get count(): number {
    return this.#wires.length
  }

  /** What waits to be sent. */
  get heldBack(): Socket | undefined {
    return this.#wires
      .map(({ stream }) => stream)
      .find((stream) => stream.writableCorked > 0 && stream.writableLength > 0)
  }

  async untilHeldBack(): Promise<Socket> {
    return await vi.waitFor(() => {
      const { heldBack } = this
      if (!heldBack) throw new Error('Nothing is made up.')
      return heldBack
    })
  }

  [Symbol.dispose](): void {
    this.#bind.mockRestore()
  }
}

interface Worker {
  readonly engine: PubSub
  readonly watched: Watched
  readonly errors: unknown[]
  /** Stores an item. @returns how many statements had been made up when its handler began */
  store(): Promise<number>
}

/** A worker of one listener, which has handled one item. */
async function workerOf(database: TestDatabase, options: Partial<PubSubOptions> = {}): Promise<Worker> {
  await createItems(database)
  const engine = database.core({ ...noPoll, ...options })
  const watched = new Watched()
  database.closeLater(async () => watched[Symbol.dispose]())
  const errors: unknown[] = []
  engine.on('error', ({ error }) => errors.push(error))
  let [countThen, begun]: [number, Gate] = [0, gate()]
  onItem(engine, {}, () => {
    countThen = watched.count
    begun.open()
  })
  await engine.install()
  await engine.listen()
  let id = 0
  const store = async () => {
    begun = gate()
    await database.sql('insert into item values ($1)', [++id])
    await begun.opened
    await database.drained()
    return countThen
  }
  await store()
  return { engine, watched, errors, store }
}

/** What the server knows of the connection, by one expression. */
async function atServer(database: TestDatabase, { localPort }: Socket, asked: string): Promise<unknown> {
  const [row] = await database.sql(`select ${asked} as answer from pg_stat_activity where client_port = $1`, [
    localPort,
  ])
  return row?.answer
}

test('its claim is made up before it is told, and not sent', async ({ database }) => {
  const { watched, store } = await workerOf(database)
  for (let times = 0; times < 3; times++) {
    const held = await watched.untilHeldBack()
    expect(await atServer(database, held, `state || coalesce(xact_start::text, '')`)).toBe('idle')
    const before = watched.count
    expect(await store()).toBe(before)
  }
})

test('what it sleeps is not told as the time that its claim took', async ({ database }) => {
  const { engine, watched, store } = await workerOf(database)
  const took: number[] = []
  engine.on('claimed', ({ milliseconds }) => took.push(milliseconds))
  await watched.untilHeldBack()
  const [now, hour] = [performance.now.bind(performance), 3_600_000]
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now() + hour)
  try {
    await store()
  } finally {
    clock.mockRestore()
  }
  expect(took).toHaveLength(1)
  expect(took[0]).toBeLessThan(hour)
})

test('where its connection is lost while it sleeps, the next change is claimed on another one, and nobody is told of an error', async ({
  database,
}) => {
  const { watched, errors, store } = await workerOf(database)
  const lost = await watched.untilHeldBack()
  expect(await atServer(database, lost, 'pg_terminate_backend(pid)')).toBe(true)
  await vi.waitFor(() => expect(lost.closed).toBe(true))
  await store()
  expect(errors).toEqual([])
})

test('a claim that is not needed for long is sent, before its answer is late, and no other is made up', async ({
  database,
}) => {
  // it is made up for a third of that
  const { watched, errors, store } = await workerOf(database, { answerTimeoutMs: 3_000 })
  const held = await watched.untilHeldBack()
  await vi.waitFor(() => expect(held.writableCorked).toBe(0), { timeout: 10_000 })
  // it found nothing, and sleeps again
  await vi.waitFor(async () => expect(await atServer(database, held, 'query')).toBe('commit'))
  await vi.waitFor(async () => expect(await database.sql(lookedSince, [held.localPort])).toHaveLength(1))
  await database.sql('select')
  const before = watched.count
  expect(await store()).toBeGreaterThan(before)
  expect(errors).toEqual([])
})

/** The LISTEN connection, where the last look before it sleeps came after the last statement of that port's. */
const lookedSince = `select from pg_stat_activity l, pg_stat_activity c
  where c.client_port = $1 and l.datname = c.datname and l.application_name = 'pgpubsub listen'
    and l.query like '%as until_retry%' and l.state = 'idle' and l.query_start > c.query_start`

test('a worker that closes while it sleeps leaves alone what comes then', async ({ database }) => {
  const { engine, watched } = await workerOf(database)
  await watched.untilHeldBack()
  const handled: unknown[] = []
  engine.on('handled', (told) => handled.push(told))
  const closing = engine.close()
  await Promise.all([closing, database.sql('insert into item values (1000)')])
  const left = await database.notifications()
  expect(handled.length + left.length).toBe(1)
  for (const { attempts } of left) expect(attempts).toBe(0)
})
