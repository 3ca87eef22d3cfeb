import type { PubSub, PubSubEvents, TableListenerOptions } from '@pgpubsub/core'
import { createItems, type ItemChange, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

async function engine(
  database: TestDatabase,
  options: Partial<TableListenerOptions>,
  handler: (change: ItemChange) => unknown,
): Promise<PubSub> {
  await createItems(database)
  const made = database.core(noPoll)
  onItem(made, options, handler)
  await made.install()
  return made
}

const later = () => 3_600_000

/** Everything that can be thrown, and what must be found in the kept error. */
const thrown: Record<string, { readonly throws: () => unknown; readonly kept: string }> = {
  'an Error': { throws: () => new TypeError('broken'), kept: 'TypeError: broken' },
  'a text': { throws: () => 'just text', kept: 'Thrown: just text' },
  nothing: { throws: () => undefined, kept: 'Thrown: undefined' },
  null: { throws: () => null, kept: 'Thrown: null' },
  'a bigint': { throws: () => 12n, kept: 'Thrown: 12' },
  'a symbol': { throws: () => Symbol('why'), kept: 'Thrown: Symbol(why)' },
  'an object': { throws: () => ({ code: 7 }), kept: 'Thrown: {"code":7}' },
  'an object that refers to itself': { throws: selfish, kept: 'Thrown: a value that cannot be shown' },
  'an object without a prototype': { throws: () => Object.create(null), kept: 'Thrown: {}' },
  'a message with NUL': { throws: () => new Error('a\0b'), kept: 'Error: ab' },
  'half a surrogate pair': { throws: () => new Error('\ud83d!'), kept: '!' },
  'a huge message': { throws: () => new Error('x'.repeat(5_000_000)), kept: 'xxxx' },
  'an Error whose stack is no text': { throws: () => Object.assign(new Error('odd'), { stack: 5 }), kept: '5' },
  'an Error without a stack': { throws: () => Object.assign(new Error('bare'), { stack: undefined }), kept: 'bare' },
  'an Error whose stack cannot be read': { throws: unreadable, kept: 'Thrown: a value that cannot be shown' },
}

function selfish(): unknown {
  const value: { self?: unknown } = {}
  value.self = value
  return value
}

function unreadable(): Error {
  const get = () => {
    throw new Error('not even this')
  }
  return Object.defineProperties(new Error('hidden'), { stack: { get }, message: { get } })
}

test('whatever a handler throws, at once or later, is kept with its notification, and the others are handled', async ({
  database,
}) => {
  const kinds = Object.entries(thrown)
  const handled: unknown[] = []
  const running = await engine(database, { backoff: later, concurrency: 3 }, async ({ new: item }) => {
    const kind = kinds[(item?.id ?? 0) >> 1]?.[1]
    if (!kind) return handled.push(item?.id)
    if ((item?.id ?? 0) % 2 === 1) await null
    throw kind.throws()
  })
  await database.sql('insert into item select id, 0 from generate_series(0, $1::int) id', [kinds.length * 2 + 3])
  const drained = new Promise((resolve) => running.on('drained', resolve))
  await running.listen()
  await drained
  expect(handled).toHaveLength(4)
  const kept = await database.notifications()
  expect(kept).toHaveLength(kinds.length * 2)
  for (const { new: item, attempts, last_error: error, run_at: runAt } of kept) {
    const [name, kind] = kinds[item.id >> 1] ?? []
    expect(error, name).toContain(kind?.kept)
    expect(error.length).toBeLessThanOrEqual(10_000)
    expect(attempts).toBe(1)
    expect(runAt.getTime()).toBeGreaterThan(Date.now() + 3_000_000)
  }
})

test('a handler that is not async and throws at once fails only its own attempt', async ({ database }) => {
  const handled: unknown[] = []
  const running = await engine(database, { backoff: later }, (change) => {
    if (valueAfter(change) === 1) throw new Error('at once')
    handled.push(valueAfter(change))
  })
  await running.listen()
  await database.sql('insert into item values (1, 1), (2, 2)')
  await vi.waitFor(() => expect(handled).toEqual([2]))
  await database.sql('insert into item values (3, 3)')
  await vi.waitFor(() => expect(handled).toEqual([2, 3]))
  await vi.waitFor(async () => expect(await database.notifications()).toMatchObject([{ attempts: 1 }]))
})

test('an attempt that fails is repeated with its number until one succeeds, and then nothing is left', async ({
  database,
}) => {
  const attempts: number[] = []
  const delays: number[] = []
  const told: string[] = []
  const backoff = (attempt: number) => {
    delays.push(attempt)
    return 10
  }
  const running = await engine(database, { backoff }, ({ attempt }) => {
    attempts.push(attempt)
    if (attempt < 4) throw new Error('not yet')
  })
  running.on('failed', ({ attempt, dead }) => told.push(`failed ${attempt} ${dead}`))
  running.on('handled', ({ attempt }) => told.push(`handled ${attempt}`))
  await running.listen()
  await database.sql('insert into item values (1, 1)')
  await database.drained()
  await vi.waitFor(() => expect(told).toEqual(['failed 1 false', 'failed 2 false', 'failed 3 false', 'handled 4']))
  expect(attempts).toEqual([1, 2, 3, 4])
  expect(delays).toEqual([1, 2, 3])
  expect(await database.sql('select from pgpubsub.dead_letter')).toEqual([])
})

test('by default the delay doubles from a second on, up to an hour, give or take a quarter', async ({ database }) => {
  const running = await engine(database, {}, () => {
    throw new Error('always')
  })
  await database.sql('insert into item select id, 0 from generate_series(1, 30) id')
  await database.sql('update pgpubsub.notification set attempts = (id - 1) % 15, waiting = true, run_at = now()')
  const drained = new Promise((resolve) => running.on('drained', resolve))
  const [before] = await database.sql('select clock_timestamp() as at')
  await running.listen()
  await drained
  const [after] = await database.sql('select clock_timestamp() as at')
  for (const { attempts, run_at: runAt } of await database.notifications()) {
    const expected = Math.min(1_000 * 2 ** (attempts - 1), 3_600_000)
    expect(runAt - after.at, `after ${attempts}`).toBeLessThanOrEqual(expected * 1.25)
    expect(runAt - before.at, `after ${attempts}`).toBeGreaterThanOrEqual(expected * 0.75)
  }
})

test('a backoff that throws, or gives no usable number, puts off by a minute and stops nothing', async ({
  database,
}) => {
  const useless = [Number.NaN, -1, Number.POSITIVE_INFINITY, undefined, 'soon', {}, 'throws']
  let next = 0
  const backoff = () => {
    const delay = useless[next++ % useless.length]
    if (delay === 'throws') throw new Error('no delay')
    return delay as number
  }
  const running = await engine(database, { backoff }, () => {
    throw new Error('always')
  })
  await database.sql('insert into item select id, 0 from generate_series(1, $1::int) id', [useless.length])
  const drained = new Promise((resolve) => running.on('drained', resolve))
  const errors: unknown[] = []
  running.on('error', ({ error }) => errors.push(error))
  await running.listen()
  await drained
  const kept = await database.sql(
    `select run_at between now() and now() + interval '1 minute' as in_time from pgpubsub.notification`,
  )
  expect(kept).toEqual(useless.map(() => ({ in_time: true })))
  expect(errors).toEqual([])
})

test('after its last attempt a notification is a dead letter with its error, and the queue is empty', async ({
  database,
}) => {
  const told: PubSubEvents['failed'][] = []
  const running = await engine(database, { attempts: 3, backoff: () => 1 }, ({ attempt }) => {
    throw new Error(`attempt ${attempt}`)
  })
  running.on('failed', (failure) => told.push(failure))
  await running.listen()
  await database.sql('insert into item values (1, 42)')
  await database.drained()
  expect(await database.sql('select * from pgpubsub.dead_letter')).toMatchObject([
    {
      listener: 'items',
      operation: 'insert',
      old: null,
      new: { id: 1, value: 42 },
      context: {},
      attempts: 3,
      last_error: expect.stringContaining('attempt 3'),
      died_at: expect.any(Date),
    },
  ])
  await vi.waitFor(() => expect(told.map(({ dead }) => dead)).toEqual([false, false, true]))
  expect(told[2]).toMatchObject({ listener: 'items', attempt: 3, error: new Error('attempt 3') })
})

test('an event handler that throws harms nobody', async ({ database }) => {
  const handled: unknown[] = []
  const running = await engine(database, { backoff: () => 1 }, (change) => {
    if (change.attempt === 1) throw new Error('first')
    handled.push(valueAfter(change))
  })
  for (const event of ['failed', 'handled', 'drained'] as const) {
    running.on(event, () => {
      throw new Error('in the event handler')
    })
  }
  await running.listen()
  await database.sql('insert into item values (1, 1), (2, 2)')
  await database.drained()
  expect(handled.sort()).toEqual([1, 2])
})
