import { once } from 'node:events'
import { gate } from './support/gate.ts'
import { createItems, type ItemChange, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, test, vi } from './support/test.ts'

const hour = 3_600_000

test('after timeoutMs the signal aborts and the attempt fails with an error that says so, whatever the handler throws then', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const reasons: unknown[] = []
  onItem(engine, { timeoutMs: 50, attempts: 1 }, ({ signal }) => {
    const fail = (reject: (error: Error) => void) => () => {
      reasons.push(signal.reason)
      reject(new Error('a consequence, not the cause'))
    }
    return new Promise((_, reject) => signal.addEventListener('abort', fail(reject)))
  })
  const told: unknown[] = []
  engine.on('failed', ({ error }) => told.push(error))
  await engine.install()
  await engine.listen()
  await database.sql('insert into item values (1, 1)')
  await database.drained()
  await vi.waitFor(() => expect(told).toEqual(reasons))
  expect(told).toMatchObject([{ code: 'PGPUBSUB_TIMEOUT', message: expect.stringContaining('50 ms') }])
  const [dead] = await database.sql('select last_error from pgpubsub.dead_letter')
  expect(dead.last_error).toContain('50 ms')
})

test.for(['returns', 'throws'])(
  'a handler that ignores its signal is given up on: that it %s later has no effect',
  async (end, { database }) => {
    await createItems(database)
    const engine = database.core(noPoll)
    const held = gate()
    let ended = 0
    const handle = async ({ attempt }: ItemChange) => {
      if (attempt > 1) return
      await held.opened
      ended++
      if (end === 'throws') throw new Error('too late')
    }
    onItem(engine, { timeoutMs: 50, backoff: () => hour }, handle)
    const told: string[] = []
    for (const event of ['handled', 'failed'] as const)
      engine.on(event, ({ attempt }) => told.push(`${event} ${attempt}`))
    await engine.install()
    await engine.listen()
    await database.sql('insert into item values (1, 1)')
    await vi.waitFor(() => expect(told).toEqual(['failed 1']))
    const [before] = await database.notifications()
    held.open()
    await vi.waitFor(() => expect(ended).toBe(1))
    // the worker goes on, and what it does next comes behind whatever the late end could have caused
    await database.sql(`update pgpubsub.notification set run_at = now()`)
    await database.sql(`notify pgpubsub, 'items'`)
    await database.drained()
    await vi.waitFor(() => expect(told).toEqual(['failed 1', 'handled 2']))
    expect(before).toMatchObject({ attempts: 1, last_error: expect.stringContaining('timeoutMs') })
  },
)

test('with order by row the later changes of the row wait for it, and other rows do not', async ({ database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  const handled: unknown[] = []
  onItem(engine, { timeoutMs: 100, backoff: () => hour }, async (change) => {
    if (valueAfter(change) === 1) await held.opened
    handled.push(valueAfter(change))
  })
  await engine.install()
  await database.sql('insert into item values (1, 1)')
  await database.sql('update item set value = 2')
  await database.sql('insert into item values (2, 3)')
  const drained = new Promise((resolve) => engine.on('drained', resolve))
  await engine.listen()
  await drained
  expect(handled).toEqual([3])
  expect(await database.notifications()).toMatchObject([
    { attempts: 1, waiting: true },
    { attempts: 0, waiting: false },
  ])
  held.open()
})

test('a handler that first looks at its signal when its time is over sees that it is, and why', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const held = gate()
  const seen: AbortSignal[] = []
  onItem(engine, { timeoutMs: 50, attempts: 1 }, async (change) => {
    await held.opened
    seen.push(change.signal, { ...change }.signal)
  })
  engine.on('failed', () => held.open())
  await engine.install()
  await engine.listen()
  await database.sql('insert into item values (1, 1)')
  await vi.waitFor(() => expect(seen).toHaveLength(2))
  expect(seen[0]).toMatchObject({ aborted: true, reason: { code: 'PGPUBSUB_TIMEOUT' } })
  expect(seen[1]).toBe(seen[0])
})

test('a handler that is faster has its signal unharmed, and stop() aborts it after the grace period', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const signals: AbortSignal[] = []
  onItem(engine, { timeoutMs: hour }, async ({ signal, ...change }) => {
    signals.push(signal)
    if (change.new?.id === 2) await once(signal, 'abort').then(() => Promise.reject(new Error('stopped')))
  })
  await engine.install()
  const worker = await engine.listen()
  await database.sql('insert into item values (1, 0)')
  await database.drained()
  await database.sql('insert into item values (2, 0)')
  await vi.waitFor(() => expect(signals).toHaveLength(2))
  await worker.stop({ graceMs: 1 })
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, true])
  expect(await database.notifications()).toMatchObject([{ attempts: 0, waiting: false, last_error: null }])
})

test('a handler that fails because it was told to stop goes back unharmed, without timeoutMs too', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  let begun = 0
  const told: unknown[] = []
  onItem(engine, {}, ({ signal }) => {
    begun++
    // it hears of it before anyone else, and fails in the same instant
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('stopped'))))
  })
  engine.on('failed', (failure) => told.push(failure))
  await engine.install()
  const worker = await engine.listen()
  await database.sql('insert into item values (1, 0)')
  await vi.waitFor(() => expect(begun).toBe(1))
  await worker.stop({ graceMs: 1 })
  expect(told).toEqual([])
  expect(await database.notifications()).toMatchObject([{ attempts: 0, waiting: false, last_error: null }])
})

test('timeoutMs must be what a timer can hold', async ({ database }) => {
  const engine = database.core()
  for (const timeoutMs of [0, -1, 1.5, Number.NaN, 2 ** 31, '5']) {
    expect(() => onItem(engine, { timeoutMs: timeoutMs as number }, () => {}), String(timeoutMs)).toThrow(
      expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION', message: expect.stringContaining('timeoutMs') }),
    )
  }
})
