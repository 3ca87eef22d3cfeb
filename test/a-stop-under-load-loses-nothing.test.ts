import { setTimeout as sleep } from 'node:timers/promises'
import { Command } from './support/command.ts'
import { createItems, onItem } from './support/items.ts'
import {
  createRecordedItems,
  handledIds,
  holdingPids,
  insertItems,
  recordingModule,
  release,
} from './support/recorded-items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1)
const ascending = (ids: Iterable<number>) => [...ids].sort((one, other) => one - other)

// programs take their time to start where the machine is busy
vi.setConfig({ testTimeout: 60_000 })

const listen = (database: TestDatabase, ...args: string[]) =>
  new Command(['listen', recordingModule, '--log-format', 'json', ...args], { DATABASE_URL: database.url })

const untilHandled = (database: TestDatabase, count: number) =>
  vi.waitFor(async () => expect((await handledIds(database)).length).toBeGreaterThanOrEqual(count), {
    timeout: 20_000,
    interval: 5,
  })

test('a worker that is stopped at random moments handles every change exactly once, asleep, waking up and in batches', async ({
  database,
}) => {
  await createItems(database)
  const core = database.core()
  const handled: number[] = []
  onItem(core, {}, async ({ new: item }) => {
    await sleep(Math.random() * 10)
    handled.push(item?.id ?? 0)
  })
  await core.install()
  let written = 0
  let writing = true
  const writer = (async () => {
    while (writing && written < 800) {
      await insertItems(database, written + 1, written + 20, 0)
      written += 20
      await sleep(Math.random() * 30)
    }
  })()
  for (let cycle = 0; cycle < 30; cycle++) {
    const worker = await core.listen()
    await sleep(Math.random() * 60)
    await worker.stop()
  }
  writing = false
  await writer
  await core.listen()
  await database.drained()
  expect(ascending(handled)).toEqual(upTo(written))
})

test('a connection that is lost while its batch has the grace period neither stops the stop nor loses a change', async ({
  database,
}) => {
  await createItems(database)
  const core = database.core()
  const handled: number[] = []
  onItem(core, {}, async ({ new: item }) => {
    await sleep(20)
    handled.push(item?.id ?? 0)
  })
  await core.install()
  await insertItems(database, 1, 300, 0)
  for (let cycle = 0; cycle < 5; cycle++) {
    const worker = await core.listen()
    const before = handled.length
    await vi.waitFor(() => expect(handled.length).toBeGreaterThan(before), { timeout: 20_000, interval: 5 })
    const stopped = worker.stop()
    await database.sql(`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and (application_name = 'pgpubsub listen'
        or application_name = 'pgpubsub' and state = 'idle in transaction')`)
    await stopped
  }
  await core.listen()
  await database.drained()
  expect(ascending(new Set(handled))).toEqual(upTo(300))
})

test.concurrent('processes that are told to stop by SIGTERM, one after another, handle every change exactly once', async ({
  database,
}) => {
  await createRecordedItems(database)
  const first = listen(database, '--install')
  await first.logged('listening')
  await insertItems(database, 1, 400, 20)
  for (const [cycle, command] of [first, listen(database)].entries()) {
    await untilHandled(database, cycle * 150 + 1 + Math.random() * 100)
    command.signal('SIGTERM')
    expect(await command.exitCode(), command.stderr).toBe(0)
    expect(command.log.at(-1).msg).toBe('stopped')
  }
  const last = listen(database)
  await last.logged('listening')
  await database.drained()
  last.signal('SIGTERM')
  expect(await last.exitCode()).toBe(0)
  expect(ascending(await handledIds(database))).toEqual(upTo(400))
})

test.concurrent('processes that are ended at once, by a second signal or by SIGKILL, lose no change', async ({
  database,
}) => {
  await createRecordedItems(database)
  const insisted = listen(database, '--install', '--grace', '600')
  await insisted.logged('listening')
  await insertItems(database, 1, 200, 20, 50)
  await vi.waitFor(async () => expect(await holdingPids(database)).not.toEqual([]), { timeout: 20_000, interval: 5 })
  insisted.signal('SIGTERM')
  await insisted.logged('stopping')
  const insist = setInterval(() => insisted.signal('SIGTERM'), 50)
  expect(await insisted.exitCode()).toBe(143)
  clearInterval(insist)

  const killed = listen(database)
  const before = (await handledIds(database)).length
  await untilHandled(database, before + 1 + Math.random() * 40)
  await killed.kill()

  await release(database)
  const last = listen(database)
  await last.logged('listening')
  await database.drained()
  last.signal('SIGTERM')
  expect(await last.exitCode()).toBe(0)
  expect(ascending(new Set(await handledIds(database)))).toEqual(upTo(200))
})
