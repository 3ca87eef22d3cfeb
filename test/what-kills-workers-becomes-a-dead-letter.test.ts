import { createItems, onItem } from './support/items.ts'
import { Program } from './support/program.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

// processes are started and killed
vi.setConfig({ testTimeout: 90_000 })

/** Starts workers one after another, as a supervisor does, until nothing is stored. @returns how many have died */
async function superviseUntilDrained(
  database: TestDatabase,
  env: Record<string, string>,
  onMessage?: (message: unknown) => void,
): Promise<number> {
  for (let deaths = 0; ; deaths++) {
    const worker = new Program(database, 'killed-worker.ts', env, onMessage)
    const ended = worker.ended().then(() => 'died')
    if ((await Promise.race([ended, database.drained().then(() => 'drained')])) === 'died') continue
    await worker.kill()
    return deaths
  }
}

async function install(database: TestDatabase, options: object): Promise<void> {
  const engine = database.core()
  onItem(engine, options, () => {})
  await engine.install()
}

const deadLetters = (database: TestDatabase) =>
  database.sql(`select (new ->> 'id')::int as id, attempts, split_part(last_error, E'\\n', 1) as error
    from pgpubsub.dead_letter order by id`)

const workerDied = expect.stringContaining('The worker died while the handler ran')

test.for([
  { kill: 'exit', options: {} },
  { kill: 'memory', options: { order: 'none' } },
  { kill: 'SIGKILL', options: { transactional: true } },
  { kill: 'SIGKILL', options: { batch: { size: 10 } } },
] as const)(
  'by $kill with $options, after its attempts, and its neighbours in the batch are handled',
  async ({ kill, options }, { database }) => {
    await createItems(database)
    await install(database, options)
    await database.sql(
      'insert into item select id, case when id = 4 then 13 else id end from generate_series(1, 10) id',
    )

    const env = { OPTIONS: JSON.stringify({ ...options, attempts: 2 }), KILL: kill }
    const memory = kill === 'memory' ? { NODE_OPTIONS: '--max-old-space-size=60' } : {}
    // the first time nobody knew which it was
    expect(await superviseUntilDrained(database, { ...env, ...memory })).toBe(3)
    expect(await deadLetters(database)).toEqual([{ id: 4, attempts: 2, error: workerDied }])
  },
)

test('later changes of its row come after it', async ({ database }) => {
  await createItems(database)
  await install(database, {})
  await database.sql('insert into item values (4, 13)')
  await database.sql('update item set value = 14')
  const handled: unknown[] = []
  const env = { OPTIONS: '{"attempts":1}', KILL: 'exit' }

  expect(await superviseUntilDrained(database, env, (message) => handled.push(message))).toBe(2)
  expect(await deadLetters(database)).toEqual([{ id: 4, attempts: 1, error: workerDied }])
  expect(handled).toContainEqual({ id: 4, attempt: 1 })
})

test('what was in flight beside it is handled at once, and no attempt is counted for it', async ({ database }) => {
  await createItems(database)
  await install(database, {})
  await database.sql('insert into item select id, case when id = 4 then 13 else id end from generate_series(1, 10) id')
  const worker = new Program(database, 'killed-worker.ts', { KILL: 'exit' })
  await worker.ended()
  const attempts: unknown[] = []
  const engine = database.core({ pollIntervalMs: 600_000 })
  onItem(engine, {}, (change) => void attempts.push([change.new?.id, change.attempt]))
  await engine.listen()
  await database.drained()

  expect(attempts.sort()).toEqual([1, 10, 2, 3, 4, 5, 6, 7, 8, 9].map((id) => [id, 1]))
})

test('what a worker has handed back when it was stopped is not taken for poison', async ({ database }) => {
  await createItems(database)
  const [first, second] = [database.core(), database.core()]
  let begun: () => void = () => {}
  const hasBegun = new Promise<void>((resolve) => {
    begun = resolve
  })
  onItem(first, {}, () => {
    begun()
    return new Promise(() => {})
  })
  const batches: number[] = []
  let running = 0
  onItem(second, {}, async () => {
    batches.push(++running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
  })
  await first.install()
  await database.sql('insert into item select id, id from generate_series(1, 10) id')
  const worker = await first.listen()
  await hasBegun
  await worker.stop({ graceMs: 0 })
  await second.listen()
  await database.drained()

  // together, and not one at a time
  expect(Math.max(...batches)).toBe(10)
})
