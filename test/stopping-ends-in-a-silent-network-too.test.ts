import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { PubSub, silentLogger } from '@pgpubsub/core'
import pg from 'pg'
import { untilAsleep } from './support/asleep.ts'
import { Command } from './support/command.ts'
import { createItems, holdItems, noPoll, onItem } from './support/items.ts'
import { type SilentProxy, silentProxy } from './support/silent-proxy.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

// Each waits for as long as a server is given to answer, so they run at once.

vi.setConfig({ testTimeout: 60_000 })

const grace = { graceMs: 100 }

async function installed(database: TestDatabase): Promise<SilentProxy> {
  await createItems(database)
  const core = database.core()
  onItem(core, {}, () => {})
  await core.install()
  return silentProxy(database)
}

const handledElsewhere = async (database: TestDatabase) => {
  const core = database.core()
  const handle = vi.fn()
  onItem(core, {}, handle)
  await core.listen()
  await database.drained()
  expect(handle).toHaveBeenCalledOnce()
}

test.concurrent('a batch that waits for an answer is given up, and its change is handled by another worker', async ({
  database,
}) => {
  const network = await installed(database)
  const core = new PubSub({ connectionString: network.url, logger: silentLogger, ...noPoll })
  const { begun, held } = holdItems(core)
  const worker = await core.listen()
  await database.sql('insert into item values (1, 1)')
  await begun.opened
  network.silence()
  held.open()
  await worker.stop(grace)
  await core.close()
  network.cut()
  await handledElsewhere(database)
})

test.concurrent('of a pool of the user, too, only what the worker holds is closed', async ({ database }) => {
  const network = await installed(database)
  const pool = new pg.Pool({ connectionString: network.url, application_name: 'pgpubsub' })
  pool.on('error', () => {})
  const others = await pool.connect()
  others.on('error', () => {})
  const core = new PubSub({ pool, listenConnectionString: database.url, logger: silentLogger })
  const { begun, held } = holdItems(core)
  const worker = await core.listen()
  await database.sql('insert into item values (1, 1)')
  await begun.opened
  network.silence()
  held.open()
  await worker.stop(grace)
  await core.close()
  expect(pool.totalCount).toBe(1)
  others.release(true)
  await pool.end()
  network.cut()
  await handledElsewhere(database)
})

test.concurrent('a worker whose new connections get no answer stops', async ({ database }) => {
  const network = await installed(database)
  const core = new PubSub({ connectionString: network.url, logger: silentLogger, answerTimeoutMs: 600_000 })
  onItem(core, {}, () => {})
  const worker = await core.listen()
  await untilAsleep(database)
  network.silence()
  network.cut()
  // the one for LISTEN and one for a claim
  await vi.waitFor(() => expect(network.connections).toBe(2), { timeout: 10_000 })
  const errors: unknown[] = []
  core.on('error', ({ error }) => errors.push(error))
  await worker.stop(grace)
  expect(errors, 'not that connecting took too long').toEqual([
    new Error('The worker has stopped: the database did not answer in time.'),
  ])
  await core.close()
})

test.concurrent('what else waits for an answer when the engine is closed is given up, and says so', async ({
  database,
}) => {
  const network = await installed(database)
  const core = new PubSub({ connectionString: network.url, logger: silentLogger })
  await core.deadLetters.list()
  network.silence()
  const list = expect(core.deadLetters.list()).rejects.toThrow('terminated')
  await new Promise(setImmediate) // it has its connection
  await core.close()
  await list
})

test.concurrent('a program that stops its worker ends, asleep and in a batch', async ({ database }) => {
  const network = await installed(database)
  const program = (name: string) => {
    const { DATABASE_URL: _, ...env } = process.env
    const file = fileURLToPath(new URL(`./fixtures/${name}.ts`, import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', file], {
      env: { ...env, DATABASE_URL: network.url },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const lines = createInterface({ input: child.stdout })
    return {
      child,
      exit: once(child, 'exit'),
      said: async (text: string) => expect(await once(lines, 'line')).toEqual([text]),
    }
  }
  const first = program('stop-when-told')
  await first.said('listening')
  await untilAsleep(database)
  const second = program('stop-when-told')
  await second.said('listening')
  await untilAsleep(database, 2)
  const handling = Promise.any([first.said('handling'), second.said('handling')])
  await database.sql('insert into item values (1, 1)')
  await handling
  network.silence()
  first.child.kill('SIGTERM')
  second.child.kill('SIGTERM')
  await Promise.all([first.said('closed'), second.said('closed')])
  expect(await Promise.all([first.exit, second.exit])).toEqual([
    [0, null],
    [0, null],
  ])
})

test.concurrent('the command line ends, with exit code 0', async ({ database }) => {
  const network = await silentProxy(database)
  const module = fileURLToPath(new URL('./fixtures/media-listeners.ts', import.meta.url))
  const command = new Command(['listen', module, '--install', '--grace', '0.1', '--log-format', 'json'], {
    DATABASE_URL: network.url,
  })
  await command.logged('listening')
  await untilAsleep(database, 2)
  network.silence()
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
  await command.logged('stopped')
})
