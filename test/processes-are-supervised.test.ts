import { Command } from './support/command.ts'
import { passing } from './support/counting-pool.ts'
import {
  createRecordedItems,
  handledIds,
  handlingPids,
  holdingPids,
  insertItems,
  recordingModule,
  release,
} from './support/recorded-items.ts'
import { expect, type TestDatabase, test as testWithDatabase, vi } from './support/test.ts'

// many processes start here at once
vi.setConfig({ testTimeout: 60_000 })
const patience = { timeout: 30_000, interval: 10 }

type Listen = (processes: number | string, ...args: string[]) => Command

const test = testWithDatabase.extend<{ listen: Listen; env: Record<string, string> }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  env: async ({}, use) => use({}),
  /** Starts supervised workers on the test's database; what still runs after the test is killed. */
  listen: async ({ database, env }, use) => {
    const commands: Command[] = []
    await createRecordedItems(database)
    await use((processes, ...args) => {
      const all = [
        'listen',
        recordingModule,
        '--processes',
        `${processes}`,
        '--log-format',
        'json',
        '--install',
        ...args,
      ]
      const command = new Command(all, { DATABASE_URL: database.url, ...env }, { detached: true })
      commands.push(command)
      return command
    })
    for (const command of commands) await command.kill()
  },
})

interface Start {
  worker: number
  pid: number
}

const starts = (command: Command): Start[] =>
  command.log.filter(({ msg }) => msg === 'listening').map(({ worker, pid }) => ({ worker, pid }))

/** The workers, once so many have started. */
async function started(command: Command, count: number): Promise<Start[]> {
  await vi.waitFor(() => expect(starts(command), command.stdout + command.stderr).toHaveLength(count), patience)
  return starts(command)
}

const isRunning = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const untilGone = (all: readonly Start[]) =>
  vi.waitFor(() => expect(all.filter(({ pid }) => isRunning(pid))).toEqual([]), patience)

const untilHeld = (database: TestDatabase): Promise<number> =>
  vi.waitFor(async () => {
    const [pid] = await holdingPids(database)
    expect(pid).toBeDefined()
    return pid as number
  }, patience)

// first: it waits the longest
test.concurrent('a worker whose handler never gives its thread back is killed some seconds after the grace period', async ({
  database,
  listen,
}) => {
  const command = listen(1, '--grace', '0.1')
  const workers = await started(command, 1)
  await insertItems(database, 1, 1, -2)
  await vi.waitFor(async () => expect(await holdingPids(database)).toHaveLength(1), patience)
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(1)
  await command.logged('workers that did not end in time are killed')
  await untilGone(workers)
  expect(await database.notifications()).toHaveLength(1)
})

test.concurrent('processes share the work, and write one log of whole lines', async ({ database, listen, env }) => {
  env.LOUD = 'yes'
  const command = listen(3, '--log-level', 'debug', '--concurrency', '1')
  const workers = await started(command, 3)
  expect(workers.map(({ worker }) => worker).sort()).toEqual([1, 2, 3])
  expect(
    command.log.filter(({ msg }) => msg === 'installed'),
    'by the first alone',
  ).toHaveLength(1)
  let written = 0
  await vi.waitFor(
    async () => {
      await insertItems(database, written + 1, written + 60, 5)
      written += 60
      expect((await handlingPids(database)).sort()).toEqual(workers.map(({ pid }) => pid).sort())
    },
    { timeout: 30_000, interval: 100 },
  )
  await database.drained()
  // what a handler wrote last may be lost at the end of its process, as everywhere in Node
  await vi.waitFor(() => expect(command.log.filter(({ said }) => said)).toHaveLength(written), patience)

  command.signal('SIGTERM')

  expect(await command.exitCode()).toBe(0)
  const log = command.log
  const handled = log.filter(({ msg }) => msg === 'handled')
  expect(new Set(handled.map(({ worker, pid }) => `${worker} ${pid}`)).size).toBe(3)
  expect(handled).toHaveLength(written)
  const [stopping, ...stopped] = log.filter(({ msg, worker }) => /^stop/.test(msg) && !worker)
  expect(stopping).toMatchObject({ signal: 'SIGTERM', pid: command.pid })
  expect(stopped).toEqual([log.at(-1)])
  expect(log.filter(({ msg, worker }) => msg === 'stopped' && worker)).toHaveLength(3)
  expect(command.stderr).toBe('')
  await untilGone(workers)
})

test.concurrent('for people, each line says whose it is', async ({ listen }) => {
  const command = listen(2, '--log-format', 'pretty')
  await vi.waitFor(() => {
    for (const worker of [1, 2])
      expect(command.stdout).toMatch(new RegExp(`^worker ${worker} \\| .*INFO.*listening$`, 'm'))
  }, patience)
  command.signal('SIGINT')
  expect(await command.exitCode()).toBe(0)
  const lines = command.stdout.trimEnd().split('\n')
  expect(lines.at(-1)).toMatch(/^\[.*INFO.*: stopped/)
  expect(lines.filter((line) => !/^(worker [12] \| |\[| {2})/.test(line))).toEqual([])
})

test.concurrent('a worker that is killed is replaced, and its change handled; so is one that is told to stop', async ({
  database,
  listen,
}) => {
  const command = listen(2)
  const before = await started(command, 2)
  await insertItems(database, 1, 1, -1)
  const killed = await untilHeld(database)
  process.kill(killed, 'SIGKILL')
  await insertItems(database, 2, 50, 5)
  await vi.waitFor(async () => expect(await handledIds(database)).toHaveLength(49), patience)
  await release(database)
  await database.drained()
  expect(await handledIds(database)).toHaveLength(50)

  const replaced = (await started(command, 3)).at(-1)
  expect(replaced?.worker).toBe(before.find(({ pid }) => pid === killed)?.worker)
  expect(await command.logged('a worker ended, and will be started again')).toMatchObject({
    worker: replaced?.worker,
    workerPid: killed,
    signal: 'SIGKILL',
  })
  const other = before.find(({ pid }) => pid !== killed) as Start
  process.kill(other.pid, 'SIGTERM')
  expect((await started(command, 4)).at(-1)?.worker).toBe(other.worker)
  expect(command.log.filter(({ msg, pid }) => msg === 'stopped' && pid === other.pid)).toHaveLength(1)
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
})

test.concurrent('a worker that always crashes is started less and less often, and the others go on', async ({
  database,
  listen,
  env,
}) => {
  env.CRASHING = '2'
  const command = listen(2)
  const crashes = () => command.log.filter(({ msg }) => /^a worker ended/.test(msg))
  await vi.waitFor(() => expect(crashes().length).toBeGreaterThanOrEqual(3), patience)
  for (const [index, crash] of crashes().slice(0, 3).entries()) {
    expect(crash).toMatchObject({ level: 40, worker: 2, code: 3 })
    expect(crash.restartInMs).toBeGreaterThanOrEqual(250 * 2 ** index)
    expect(crash.restartInMs).toBeLessThanOrEqual(500 * 2 ** index)
  }
  await insertItems(database, 1, 20, 0)
  await database.drained()
  expect(starts(command).map(({ worker }) => worker)).toEqual([1])
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
})

test.concurrent('Ctrl-C, which every process of the group is sent, gives running handlers their grace period', async ({
  database,
  listen,
}) => {
  const command = listen(2, '--grace', '600')
  const workers = await started(command, 2)
  await insertItems(database, 1, 1, -1)
  await untilHeld(database)
  process.kill(-command.pid, 'SIGINT')
  const told = () => command.log.filter(({ msg, worker }) => msg === 'stopping' && worker)
  await vi.waitFor(() => expect(told()).toHaveLength(2), patience)
  // however late one comes the second time
  await passing(700)
  for (const { pid } of workers.filter(({ pid }) => isRunning(pid))) process.kill(pid, 'SIGINT')
  await release(database)
  expect(await command.exitCode()).toBe(0)
  expect(await handledIds(database)).toEqual([1])
  await untilGone(workers)
})

test.concurrent('a second signal ends all of them at once', async ({ database, listen }) => {
  const command = listen(2, '--grace', '600')
  const workers = await started(command, 2)
  await insertItems(database, 1, 1, -1)
  await untilHeld(database)
  process.kill(-command.pid, 'SIGINT')
  await command.logged('stopping')
  const insist = setInterval(() => process.kill(-command.pid, 'SIGINT'), 50)
  expect(await command.exitCode()).toBe(130)
  clearInterval(insist)
  await untilGone(workers)
  expect(await database.notifications()).toMatchObject([{ attempts: 0 }])
})

test.concurrent('when the supervisor is killed, its workers stop gracefully and none is left', async ({
  database,
  listen,
}) => {
  const command = listen(2, '--grace', '600')
  const workers = await started(command, 2)
  await insertItems(database, 1, 1, -1)
  const holding = await untilHeld(database)
  await command.kill()
  await untilGone(workers.filter(({ pid }) => pid !== holding))
  expect(isRunning(holding)).toBe(true)
  await release(database)
  await untilGone(workers)
  expect(await handledIds(database)).toEqual([1])
  expect(await database.notifications()).toEqual([])
})

test.concurrent('what is wrong at the start is said once, and ends the command as without a supervisor', async ({
  listen,
}) => {
  const usage = listen(3, '--listeners', 'nobody', '--log-format', 'pretty')
  expect(await usage.exitCode()).toBe(2)
  expect(usage.stderr).toBe(
    'pgpubsub: PGPUBSUB_UNKNOWN_LISTENER: No listener named "nobody" is declared here. Import the module that declares it. Declared are "items".\n',
  )
  const json = listen(3, '--listeners', 'nobody')
  expect(await json.exitCode()).toBe(2)
  expect(JSON.parse(json.stderr)).toMatchObject({ level: 60, code: 'PGPUBSUB_UNKNOWN_LISTENER' })
  const nobody = listen(0)
  expect(await nobody.exitCode()).toBe(2)
  expect(nobody.stderr).toContain('a whole number from 1, or auto')
})
