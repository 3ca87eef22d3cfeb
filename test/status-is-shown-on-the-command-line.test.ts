import { fileURLToPath } from 'node:url'
import { Command } from './support/command.ts'
import { expect, type TestDatabase, test as testWithDatabase, vi } from './support/test.ts'

const module = fileURLToPath(new URL('./fixtures/media-listeners.ts', import.meta.url))

const test = testWithDatabase.extend<{ start: (...args: string[]) => Command }>({
  start: async ({ database }, use) => {
    await use((...args) => {
      const command = new Command(args, { DATABASE_URL: database.url })
      database.closeLater(() => command.kill())
      return command
    })
  },
})

/** Two listeners: one with two ready, one waiting for its retry and one dead, paused; the other with nothing. */
async function someWork(database: TestDatabase): Promise<void> {
  const core = database.core()
  core.onChange({ name: 'busy', table: 'media' }, () => {})
  core.onChange({ name: 'idle\u001b[31m', table: 'tag' }, () => {})
  await core.install()
  await core.pause('busy')
  await database.sql(`insert into media (url) values ('a'), ('b'), ('c');
    update pgpubsub.notification set waiting = true, waiting_key = key, run_at = now() + '1 hour' where new ->> 'url' = 'c';
    insert into pgpubsub.dead_letter (id, listener, operation, context, attempts, created_at) values (1, 'busy', 'insert', '{}', 20, now())`)
}

test('status is a table for people, and a list for programs', async ({ database, start }) => {
  await someWork(database)
  const [people, program] = [start('status', module), start('status', '--url', database.url, '--json')]
  expect([await people.exitCode(), await program.exitCode()]).toEqual([0, 0])
  const rows = people.stdout.split('\n').map((line) =>
    line
      .split('│')
      .map((cell) => cell.trim())
      .slice(1, -1),
  )
  expect(rows.filter((row) => row.length > 0)).toEqual([
    ['listener', 'ready', 'running', 'retries', 'dead', 'lag', 'rate'],
    ['busy (paused)', '2', '0', '1', '1', expect.stringMatching(/^\d+\.\ds$/), '0.0/s'],
    ['idle [31m', '0', '0', '0', '0', '-', '0.0/s'],
  ])
  expect(JSON.parse(program.stdout)).toMatchObject([
    { listener: 'busy', ready: 2, scheduled: 1, dead: 1, paused: true },
    { listener: 'idle\u001b[31m', ready: 0 },
  ])
})

test('watch tells it again and again, in lines where it is no terminal, until it is told to stop', async ({
  database,
  start,
}) => {
  await someWork(database)
  const lines = start('watch', module, '--interval', '0.1')
  const json = start('watch', '--json', '--interval', '0.1')
  await vi.waitFor(() => expect(lines.stdout.split('\n').length).toBeGreaterThan(4), { timeout: 20_000 })
  expect(lines.stdout.split('\n')[0]).toMatch(
    /^\d{4}-\d\d-\d\dT[\d:]{8}Z ready=2 running=0 retries=1 dead=1 lag=\d+\.\ds rate=0\.0\/s busy \(paused\)$/,
  )
  await database.sql(`insert into media (url) values ('d')`)
  await vi.waitFor(
    () => {
      expect(lines.stdout).toContain('ready=3')
      expect(json.log).toContainEqual(expect.objectContaining({ at: expect.any(String), listener: 'busy', ready: 3 }))
    },
    { timeout: 20_000 },
  )
  lines.signal('SIGINT')
  json.signal('SIGTERM')
  expect([await lines.exitCode(), await json.exitCode()]).toEqual([0, 0])
})

test('they fail where nothing is installed, and watch wants a sensible interval', async ({ start }) => {
  const commands = [start('status', module), start('watch', module), start('watch', module, '--interval', 'often')]
  expect(await Promise.all(commands.map((command) => command.exitCode()))).toEqual([1, 1, 2])
  expect(commands[1]?.stderr).toContain('PGPUBSUB_NOT_INSTALLED')
})
