import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { DrainReport } from '../fixtures/drain-items.ts'
import { createItems, onItem } from '../support/items.ts'
import { describe, type TestDatabase, test, vi } from '../support/test.ts'

const program = fileURLToPath(new URL('../fixtures/drain-items.ts', import.meta.url))

const batchSize = 500
/** While the handlers of one batch run, the one before may not have been committed yet. */
const inFlight = 2 * batchSize

async function installItems(database: TestDatabase): Promise<void> {
  await createItems(database, 'id int generated always as identity primary key, value int, note text')
  const engine = database.core()
  onItem(engine, {}, () => {})
  await engine.install()
}

async function storeBacklog(database: TestDatabase, size: number): Promise<void> {
  await database.sql(
    `insert into item (value, note) select n, repeat('some text ', 15) from generate_series(1, $1::int) n`,
    [size],
  )
}

/** A worker in a process of its own, that ends when nothing is left. */
function startWorker(database: TestDatabase, ...args: string[]): ChildProcess {
  const child = fork(program, [database.url, String(batchSize), ...args], {
    execArgv: ['--import', 'tsx', '--expose-gc'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  database.closeLater(async () => child.kill('SIGKILL'))
  return child
}

async function drained(database: TestDatabase, size: number): Promise<DrainReport> {
  await storeBacklog(database, size)
  const child = startWorker(database)
  const [[report]] = await Promise.all([once(child, 'message'), once(child, 'exit')])
  return report
}

describe.concurrent('a long backlog', { timeout: 120_000 }, () => {
  test('is drained in the memory of a short one, by short transactions', async ({ database, expect }) => {
    await installItems(database)
    const short = await drained(database, 10_000)
    const long = await drained(database, 100_000)

    expect(long.handled).toBe(100_000)
    // what a heap's size varies by from run to run
    const noise = 512 * 1024
    expect(long.heapGrowth).toBeLessThanOrEqual(short.heapGrowth * 1.1 + noise)
    expect(long.mostInFlight).toBeLessThanOrEqual(inFlight)
    expect(long.longestTransaction).toBeLessThanOrEqual(inFlight)
  })

  test('is repeated by no more than the batches in flight when its workers are killed', async ({
    database,
    expect,
  }) => {
    const size = 20_000
    await installItems(database)
    await storeBacklog(database, size)
    const folder = await mkdtemp(join(tmpdir(), 'backlog-'))
    database.closeLater(() => rm(folder, { recursive: true }))
    const file = join(folder, 'handled')
    await writeFile(file, '')
    const handled = async () => (await readFile(file, 'utf8')).split('\n').slice(0, -1)

    const workers = [startWorker(database, file), startWorker(database, file)]
    const some = async () => expect((await handled()).length).toBeGreaterThan(4_000)
    await vi.waitFor(some, { timeout: 60_000, interval: 2 })
    await Promise.all(
      workers.map(async (worker) => {
        worker.kill('SIGKILL')
        await once(worker, 'exit')
      }),
    )
    expect((await handled()).length).toBeLessThan(size)
    await once(startWorker(database, file), 'exit')

    const lines = await handled()
    expect(new Set(lines).size).toBe(size)
    expect(lines.length - size).toBeLessThanOrEqual(inFlight * workers.length)
  })
})
