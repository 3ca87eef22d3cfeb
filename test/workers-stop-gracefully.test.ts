import type { PubSub } from '@pgpubsub/core'
import { untilAsleep } from './support/asleep.ts'
import { gate } from './support/gate.ts'
import { createItems, type ItemChange, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

async function engine(database: TestDatabase, handler: (change: ItemChange) => unknown, options = {}): Promise<PubSub> {
  await createItems(database)
  const made = database.core(noPoll)
  onItem(made, options, handler)
  await made.install()
  return made
}

const left = (database: TestDatabase) =>
  database.sql(`select (new->>'id')::int as id, attempts, waiting from pgpubsub.notification order by id`)

test('handlers that run may end, what was not begun goes back unharmed, and the next worker does it', async ({
  database,
}) => {
  const held = gate()
  const begun: number[] = []
  const running = await engine(
    database,
    async ({ new: item }) => {
      begun.push(item?.id ?? 0)
      await held.opened
    },
    { concurrency: 2 },
  )
  await database.sql('insert into item select id, 0 from generate_series(1, 6) id')
  const worker = await running.listen()
  await vi.waitFor(() => expect(begun).toEqual([1, 2]))
  const stopped = worker.stop()
  held.open()
  await stopped
  expect(begun).toEqual([1, 2])
  expect(await left(database)).toEqual([3, 4, 5, 6].map((id) => ({ id, attempts: 0, waiting: false })))

  await running.listen()
  await database.drained()
  expect(begun.sort()).toEqual([1, 2, 3, 4, 5, 6])
})

test('after the grace the signal aborts, and what still runs goes back without an attempt counted', async ({
  database,
}) => {
  const begun = gate()
  const reasons: boolean[] = []
  const running = await engine(database, ({ signal }) => {
    begun.open()
    reasons.push(signal.aborted)
    return new Promise(() => signal.addEventListener('abort', () => reasons.push(signal.aborted)))
  })
  await database.sql('insert into item values (1, 0), (2, 0)')
  const worker = await running.listen()
  await begun.opened
  await worker.stop({ graceMs: 50 })
  expect(reasons).toEqual([false, false, true, true])
  expect(await left(database)).toEqual([1, 2].map((id) => ({ id, attempts: 0, waiting: false })))
})

test('a handler that succeeded before the grace was over stays done, beside one that did not', async ({ database }) => {
  const ended = gate()
  const running = await engine(database, ({ new: item }) => {
    if (item?.id === 2) return new Promise(() => {})
    ended.open()
  })
  await database.sql('insert into item values (1, 0), (2, 0)')
  const worker = await running.listen()
  await ended.opened
  await worker.stop({ graceMs: 50 })
  expect(await left(database)).toMatchObject([{ id: 2, attempts: 0 }])
})

test('what a stopping worker gives back, or has put off, a sleeping one takes without waiting for its slow poll', async ({
  database,
}) => {
  await createItems(database)
  const held = gate()
  const begun = gate()
  const by: string[] = []
  const declare = (name: string, wait: boolean) => {
    const made = database.core(noPoll)
    onItem(made, { order: 'none', concurrency: 1, backoff: () => 50 }, async (change) => {
      by.push(`${name} ${valueAfter(change)}`)
      if (!wait) return
      begun.open()
      await held.opened
      throw new Error('it was its first attempt')
    })
    return made
  }
  const first = declare('first', true)
  const second = declare('second', false)
  await first.install()
  await database.sql('insert into item select id, id from generate_series(1, 3) id')
  const stopping = await first.listen()
  await begun.opened
  await second.listen()
  await untilAsleep(database)
  const stopped = stopping.stop()
  held.open()
  await stopped
  await database.drained()
  expect(by[0]).toBe('first 1')
  expect(by.slice(1).sort()).toEqual(['second 1', 'second 2', 'second 3'])
})

test('stopping twice waits for the same end, and a worker can be disposed of', async ({ database }) => {
  const running = await engine(database, () => {})
  {
    await using worker = await running.listen()
    await untilAsleep(database)
    const first = worker.stop()
    expect(worker.stop()).toBe(first)
    await first
    await worker.stop()
  }
  await using other = await running.listen()
  expect(other).toBeDefined()
})

test('a second stop can end the grace period of the first', async ({ database }) => {
  const begun = gate()
  const running = await engine(database, () => {
    begun.open()
    return new Promise(() => {})
  })
  await database.sql('insert into item values (1, 0)')
  const worker = await running.listen()
  await begun.opened
  const stopped = worker.stop({ graceMs: Number.POSITIVE_INFINITY })
  worker.stop({ graceMs: 0 })
  worker.stop()
  await Promise.race([stopped, overdue()])
  expect(await left(database)).toEqual([{ id: 1, attempts: 0, waiting: false }])
})

test('a worker that sleeps stops at once, and one that is only falling asleep too', async ({ database }) => {
  const running = await engine(database, () => {})
  for (let times = 0; times < 10; times++) {
    const worker = await running.listen()
    if (times % 2 === 0) await untilAsleep(database)
    await Promise.race([worker.stop(), overdue()])
  }
})

test('a worker that waits for an open transaction stops at once', async ({ database }) => {
  const running = await engine(database, () => {})
  const writer = await database.pool.connect()
  await writer.query('begin')
  await writer.query('insert into item values (1, 0)')
  const worker = await running.listen()
  await untilAsleep(database)
  await Promise.race([worker.stop(), overdue()])
  await writer.query('rollback')
  writer.release()
})

test('a worker that has lost its connection stops while it reconnects', async ({ database }) => {
  const running = await engine(database, () => {})
  const worker = await running.listen()
  const lost = new Promise((resolve) => running.on('connectionLost', resolve))
  await database.sql(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name = 'pgpubsub listen'`,
  )
  await lost
  await Promise.race([worker.stop(), overdue()])
})

/** Far longer than a stop takes, far shorter than the slow poll. */
function overdue(): Promise<never> {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error('it did not stop')), 8_000).unref()
  })
}

test('what was claimed ahead when a worker is stopped goes back as it was, not as what may have killed a worker', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  let stopped: Promise<void> | undefined
  let handled = 0
  onItem(engine, { batchSize: 10 }, () => {})
  // told when a batch is settled, and the next one asked for
  engine.on('handled', () => {
    if (++handled === 25) stopped = worker.stop()
  })
  await engine.install()
  await database.sql('insert into item select id, 0 from generate_series(1, 200) id')
  const worker = await engine.listen()
  await vi.waitFor(() => expect(stopped).toBeDefined())
  await stopped
  expect((await database.notifications()).length).toBe(200 - handled)
  const aborted = `select from pgpubsub.notification where xmax <> 0 and pg_xact_status(xmax::text::xid8) = 'aborted'`
  expect(await database.sql(aborted)).toEqual([])
})
