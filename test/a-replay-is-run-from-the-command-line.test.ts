import { fileURLToPath } from 'node:url'
import { Command } from './support/command.ts'
import { expect, type TestDatabase, test as testWithDatabase, vi } from './support/test.ts'

const module = fileURLToPath(new URL('./fixtures/replayed-media.ts', import.meta.url))

const test = testWithDatabase.extend<{ start: (...args: string[]) => Command }>({
  start: async ({ database }, use) => {
    await use((...args) => {
      const command = new Command(['replay', module, ...args], { DATABASE_URL: database.url })
      database.closeLater(() => command.kill())
      return command
    })
  },
})

/** Seven media, of which the listener has heard nothing. */
async function sevenMedia(database: TestDatabase): Promise<void> {
  const prisma = database.prisma()
  prisma.media.onPostSave({ name: 'index-media', replay: true }, () => {})
  await database.sql(`insert into media (url) select 'u' || n from generate_series(1, 7) n`)
  await database.sql('analyze media')
  await prisma.$pubsub.install()
}

const replayed = async (database: TestDatabase) =>
  (await database.notifications()).filter(({ operation }) => operation === 'replay').map((stored) => stored.new.id)

test('every row is stored; how far it is goes to standard error, in lines where that is no terminal', async ({
  database,
  start,
}) => {
  await sevenMedia(database)
  const command = start('--listener', 'index-media', '--batch-size', '3')
  expect([await command.exitCode(), command.stdout, command.stderr]).toEqual([0, 'stored 7\n', '3 rows of about 7\n'])
  expect(await replayed(database)).toEqual([1, 2, 3, 4, 5, 6, 7])
})

test('a signal ends it between batches, and it says how to go on', async ({ database, start }) => {
  await sevenMedia(database)
  const writer = await database.pool.connect()
  await writer.query('begin; select from media where id = 5 for update')
  const first = start('--listener', 'index-media', '--batch-size', '3')
  await vi.waitFor(() => expect(first.stderr).toContain('3 rows of about 7\n'), { timeout: 20_000 })
  first.signal('SIGTERM')
  expect([await first.exitCode(), first.stdout]).toEqual([
    1,
    expect.stringMatching(/^stored \d, and stopped\. To go on: --after '\{"id":"3"\}'\n$/),
  ])
  await writer.query('rollback')
  writer.release()
  const second = start('--listener', 'index-media', '--after', '{"id":"3"}')
  expect([await second.exitCode(), second.stdout]).toEqual([0, 'stored 4\n'])
  expect(new Set(await replayed(database))).toEqual(new Set([1, 2, 3, 4, 5, 6, 7]))
})

test('what fails is said, and how to go on; wrong usage has an exit code of its own', async ({ database, start }) => {
  await sevenMedia(database)
  await database.sql(`create function refuse() returns trigger language plpgsql as $$
    begin if new.new ->> 'id' = '5' then raise exception 'refused'; end if; return new; end $$;
    create trigger refuse before insert on pgpubsub.notification for each row execute function refuse()`)
  const failing = start('--listener', 'index-media', '--batch-size', '2')
  const wrong = [start('--listener', 'plain'), start('--listener', 'index-media', '--after', '7'), start()]
  expect([await failing.exitCode(), failing.stdout]).toEqual([1, `It failed. To go on: --after '{"id":"4"}'\n`])
  expect(failing.stderr).toContain('refused')
  expect(await Promise.all(wrong.map((command) => command.exitCode()))).toEqual([2, 2, 2])
  expect(wrong[0]?.stderr).toContain('replay: true')
  expect(wrong[1]?.stderr).toContain('as JSON')
})
