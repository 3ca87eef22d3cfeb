import { runInNewContext } from 'node:vm'
import { Discard, DoNotRetry, type PubSub, RetryAt, type TableListenerOptions } from '@pgpubsub/core'
import * as extension from '@pgpubsub/prisma-extension'
import { createItems, type ItemChange, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

async function listening(
  database: TestDatabase,
  options: Partial<TableListenerOptions>,
  handler: (change: ItemChange) => unknown,
): Promise<PubSub> {
  await createItems(database)
  const engine = database.core(noPoll)
  onItem(engine, options, handler)
  await engine.install()
  await engine.listen()
  return engine
}

const hour = 3_600_000
const failures = (engine: PubSub, count: number) => {
  let left = count
  return new Promise<void>((resolve) => engine.on('failed', () => --left === 0 && resolve()))
}

/** The same error as another copy of the package would make it: nothing but its members tell what it is. */
const fromAnotherCopy = (members: object) => Object.assign(new Error('from elsewhere'), members)

test('RetryAt says when the next attempt is, and backoff is not asked', async ({ database }) => {
  const at = new Date(Date.now() + 5 * hour)
  const elsewhere: Date = runInNewContext(`new Date(${at.getTime()})`)
  const thrown: Record<number, unknown> = {
    1: new RetryAt(at),
    2: new RetryAt({ afterMs: 5 * hour }),
    3: fromAnotherCopy({ code: 'PGPUBSUB_RETRY_AT', when: elsewhere }),
    4: fromAnotherCopy({ code: 'PGPUBSUB_RETRY_AT', when: { afterMs: 5 * hour } }),
  }
  const asked: number[] = []
  const backoff = (attempt: number) => asked.push(attempt)
  const engine = await listening(database, { backoff }, (change) => {
    throw thrown[change.new?.id ?? 0]
  })
  const failed = failures(engine, 4)
  await database.sql('insert into item select id, 0 from generate_series(1, 4) id')
  await failed
  for (const { id, run_at: runAt, attempts } of await database.notifications()) {
    expect(Math.abs(runAt - at.getTime()), `notification ${id}`).toBeLessThan(hour / 2)
    expect(attempts).toBe(1)
  }
  const [exact] = await database.sql(`select run_at from pgpubsub.notification where new ->> 'id' = '1'`)
  expect(exact.run_at).toEqual(at)
  expect(asked).toEqual([])
})

test('RetryAt counts as an attempt: after the last one it is a dead letter, with the message and the cause', async ({
  database,
}) => {
  const attempts: number[] = []
  await listening(database, { attempts: 3 }, ({ attempt }) => {
    attempts.push(attempt)
    throw new RetryAt(new Date(0), `busy ${attempt}`, { cause: new Error('429') })
  })
  await database.sql('insert into item values (1, 1)')
  await database.drained()
  expect(attempts).toEqual([1, 2, 3])
  const [dead] = await database.sql('select attempts, last_error from pgpubsub.dead_letter')
  expect(dead).toEqual({ attempts: 3, last_error: expect.stringMatching(/^RetryAt: busy 3/) })
})

test('a RetryAt without a time is a mistake of the handler, and fails as any error does', async ({ database }) => {
  const wrong: unknown[] = [new Date(Number.NaN), { afterMs: -1 }, { afterMs: Number.NaN }, {}, null, 'soon']
  for (const when of wrong)
    expect(() => new RetryAt(when as Date)).toThrow(expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION' }))
  const asked: number[] = []
  const backoff = (attempt: number) => {
    asked.push(attempt)
    return hour
  }
  const engine = await listening(database, { backoff }, () => {
    throw fromAnotherCopy({ code: 'PGPUBSUB_RETRY_AT', when: 'soon' })
  })
  const failed = failures(engine, 1)
  await database.sql('insert into item values (1, 1)')
  await failed
  expect(asked).toEqual([1])
})

test.for([new DoNotRetry('no such file'), fromAnotherCopy({ code: 'PGPUBSUB_DO_NOT_RETRY' })])(
  'DoNotRetry makes a dead letter of the first attempt, and frees its row: %s',
  async (error, { database }) => {
    const handled: unknown[] = []
    const told: unknown[] = []
    const engine = await listening(database, {}, (change) => {
      if (valueAfter(change) === 1) throw error
      handled.push(valueAfter(change))
    })
    engine.on('failed', ({ attempt, dead }) => told.push({ attempt, dead }))
    await database.sql('insert into item values (1, 1)')
    await database.sql('update item set value = 2')
    await database.drained()
    await vi.waitFor(() => expect(told).toEqual([{ attempt: 1, dead: true }]))
    expect(handled).toEqual([2])
    const dead = await database.sql('select attempts, last_error from pgpubsub.dead_letter')
    expect(dead).toEqual([{ attempts: 1, last_error: expect.stringContaining(error.message) }])
  },
)

test.for([new Discard('not for us'), fromAnotherCopy({ code: 'PGPUBSUB_DISCARD' })])(
  'Discard deletes the notification as if it had been handled, says so, and the next change of the row follows: %s',
  async (error, { database }) => {
    const told: unknown[] = []
    await createItems(database)
    const engine = database.core(noPoll)
    onItem(engine, {}, (change) => {
      if (valueAfter(change) === 1) throw error
    })
    for (const event of ['handled', 'failed'] as const) engine.on(event, ({ attempt }) => told.push([event, attempt]))
    engine.on('discarded', ({ listener, attempt, error: why }) => told.push(['discarded', listener, attempt, why]))
    await engine.install()
    // both in one batch
    await database.sql('insert into item values (1, 1)')
    await database.sql('update item set value = 2')
    await engine.listen()
    await database.drained()
    await vi.waitFor(() => expect(told).toHaveLength(2))
    expect(told).toContainEqual(['discarded', 'items', 1, error])
    expect(told).toContainEqual(['handled', 1])
    expect(await database.sql('select from pgpubsub.dead_letter')).toEqual([])
  },
)

test('the extension has the same errors, and their codes are literal', () => {
  expect([extension.RetryAt, extension.DoNotRetry, extension.Discard]).toEqual([RetryAt, DoNotRetry, Discard])
  const made = [new RetryAt({ afterMs: 0 }), new DoNotRetry('no'), new Discard('no')]
  expect(made.map(({ name, code }) => `${name} ${code}`)).toEqual([
    'RetryAt PGPUBSUB_RETRY_AT',
    'DoNotRetry PGPUBSUB_DO_NOT_RETRY',
    'Discard PGPUBSUB_DISCARD',
  ])
  for (const error of made) expect(error).toBeInstanceOf(Error)
})

test.for([
  [{ type: 'fixed', firstMs: 600_000, jitter: 0 }, [600_000, 600_000, 600_000]],
  [{ firstMs: 100_000, mostMs: 250_000, jitter: 0 }, [100_000, 200_000, 250_000]],
  [{ type: 'exponential', firstMs: 7_200_000, jitter: 0 }, [7_200_000, 7_200_000, 7_200_000]],
  [{ jitter: 0 }, [1_000, 2_000, 4_000]],
] as const)('backoff may be settings: %j waits %j ms', async ([backoff, expected], { database }) => {
  await createItems(database)
  const engine = database.core(noPoll)
  onItem(engine, { backoff }, () => {
    throw new Error('always')
  })
  await engine.install()
  await database.sql('insert into item select id, 0 from generate_series(1, 3) id')
  await database.sql('update pgpubsub.notification set attempts = id - 1, waiting = true, run_at = now()')
  const failed = failures(engine, 3)
  const [before] = await database.sql('select clock_timestamp() as at')
  await engine.listen()
  await failed
  const [after] = await database.sql('select clock_timestamp() as at')
  for (const { id, run_at: runAt } of await database.notifications()) {
    const delay = expected[Number(id) - 1] as number
    expect(runAt - before.at).toBeGreaterThanOrEqual(delay)
    expect(runAt - after.at).toBeLessThanOrEqual(delay)
  }
})

test('settings of backoff that make no sense are refused where they are written', async ({ database }) => {
  const engine = database.core()
  const wrong: [unknown, string][] = [
    [{ firstMs: 0 }, 'firstMs'],
    [{ firstMs: 2_000, mostMs: 1_000 }, 'mostMs'],
    [{ mostMs: Number.POSITIVE_INFINITY }, 'mostMs'],
    [{ mostMs: 366 * 86_400_000 }, 'a year'],
    [{ jitter: 1.5 }, 'jitter'],
    [{ jitter: true }, 'jitter'],
    [{ type: 'linear' }, 'type'],
    [{ type: 'fixed', mostMs: 5_000 }, '"mostMs"'],
    [{ first: 1 }, '"first"'],
    [[], 'a list'],
    [5, '5'],
  ]
  for (const [backoff, named] of wrong) {
    const declare = () => onItem(engine, { backoff: backoff as never }, () => {})
    expect(declare, JSON.stringify(backoff)).toThrow(
      expect.objectContaining({ code: 'PGPUBSUB_INVALID_OPTION', message: expect.stringContaining(named) }),
    )
  }
})
