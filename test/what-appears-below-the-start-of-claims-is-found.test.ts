import fc from 'fast-check'
import { Sweep } from '../packages/core/src/consume/sweep.ts'
import { createItems, onItem } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const everyMs = 5_000

/** With a clock of its own, and a server that takes a millisecond to read over 4,096 that are dead, and nothing for what is gone. */
function sweepOver(database: TestDatabase, dead: { above: bigint; upTo: bigint }) {
  let now = 0
  const sweep = new Sweep('pgpubsub', 'items', everyMs, { prepared: true, answerMs: 10_000 }, () => now)
  /** Goes on as soon as it is due. @returns what it found, how long it took, how many parts it looked at, how long it pauses then */
  const goOn = async (start: bigint) => {
    let [took, parts, pause] = [0, 0, 0]
    const query = async (statement: { text: string; values: [string, bigint, bigint] }) => {
      const { rows } = await database.pool.query(statement)
      const [, above, upTo] = statement.values
      const milliseconds = Number(max(0n, min(upTo, dead.upTo) - max(above, dead.above))) / 4_096
      took += milliseconds
      parts++
      return { rows: [{ ...rows[0], milliseconds }] }
    }
    const found = await sweep.goOn({ query } as never, start)
    for (; !sweep.isDue; pause += 10) now += 10
    return { found, took, parts, pause }
  }
  return { goOn }
}

const min = (a: bigint, b: bigint) => (a < b ? a : b)
const max = (a: bigint, b: bigint) => (a > b ? a : b)

async function installed(database: TestDatabase): Promise<void> {
  await createItems(database)
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
}

const store = (database: TestDatabase, id: bigint) =>
  database.sql(
    `insert into pgpubsub.notification (id, listener, operation, new, context)
     overriding system value values ($1, 'items', 'insert', '{"id": 1, "value": 1}', '{}')`,
    [id],
  )

test('wherever it is, it is found within one round, whatever is dead in between', async ({ database }) => {
  await installed(database)
  const id = fc.bigInt({ min: 1n, max: 10n ** 12n })
  await fc.assert(
    fc.asyncProperty(id, id, id, fc.bigInt({ min: 0n, max: 2_000_000n }), async (one, other, above, dead) => {
      const [stored, start] = [min(one, other), max(one, other)]
      const sweep = sweepOver(database, { above, upTo: above + dead })
      let rest = await sweep.goOn(start)
      for (; rest.pause < everyMs; rest = await sweep.goOn(start)) expect(rest.found).toBe(false)
      await store(database, stored)
      let { found } = await sweep.goOn(start)
      for (let tries = 0; !found && tries < 500; tries++) found = (await sweep.goOn(start)).found
      await database.sql('delete from pgpubsub.notification')
      expect(found).toBe(true)
    }),
    { numRuns: 40 },
  )
})

test('where millions are dead, no look takes long, and looks take a hundredth of the time', async ({ database }) => {
  await installed(database)
  const start = 10n ** 9n
  const sweep = sweepOver(database, { above: start - 1_000_000n, upTo: start })
  let looks = 0
  let took = 0
  let pauses = 0
  for (let isOver = false; !isOver; looks++) {
    const look = await sweep.goOn(start)
    expect(look.found).toBe(false)
    expect(look.took).toBeLessThan(70)
    took += look.took
    pauses += look.pause
    isOver = look.pause >= everyMs
    expect(looks).toBeLessThan(200)
  }
  expect(looks).toBeGreaterThan(10)
  expect(took / pauses).toBeLessThan(0.011)
})

test('where nothing is dead, a round is a few questions, however many ids there were', async ({ database }) => {
  await installed(database)
  const start = 10n ** 12n
  const { found, parts, pause } = await sweepOver(database, { above: 0n, upTo: 0n }).goOn(start)
  expect(found).toBe(false)
  expect(parts).toBeLessThan(10)
  expect(pause).toBeGreaterThanOrEqual(everyMs)
})

test('a worker finds it with its slow poll, and handles it', async ({ database }) => {
  await createItems(database)
  const handled: bigint[] = []
  const engine = database.core({ pollIntervalMs: 100 })
  onItem(engine, {}, ({ id }) => void handled.push(id))
  await engine.install()
  await engine.listen()
  // its start follows some claims behind
  for (let round = 1; round <= 10; round++) {
    await database.sql('insert into item values ($1, 0)', [round])
    await vi.waitFor(() => expect(handled).toHaveLength(round))
    await database.drained()
  }
  await store(database, 1n)
  await vi.waitFor(() => expect(handled).toHaveLength(11))
  expect(handled.at(-1)).toBe(1n)
  await database.drained()
})
