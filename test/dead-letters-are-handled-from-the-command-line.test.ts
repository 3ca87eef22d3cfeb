import { fileURLToPath } from 'node:url'
import { Command } from './support/command.ts'
import { expect, type TestDatabase, test as testWithDatabase } from './support/test.ts'

const module = fileURLToPath(new URL('./fixtures/media-listeners.ts', import.meta.url))

interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const test = testWithDatabase.extend<{ dead: (...args: string[]) => Promise<Result> }>({
  /** `pgpubsub dead <what> <module> …` on the test's database, to its end. */
  dead: async ({ database }, use) => {
    const commands: Command[] = []
    await use(async (what, ...args) => {
      const command = new Command(['dead', what, module, ...args], { DATABASE_URL: database.url })
      commands.push(command)
      const code = await command.exitCode()
      return { code, stdout: command.stdout, stderr: command.stderr }
    })
    for (const command of commands) await command.kill()
  },
})

/** An engine with three dead letters: 1 and 2 of a listener that the module declares, 3 of one that it does not. */
async function threeDead(database: TestDatabase): Promise<void> {
  await database.core().install()
  await database.sql(
    `insert into pgpubsub.dead_letter (id, listener, operation, new, context, attempts, last_error, created_at, died_at)
     values (1, 'scan-media', 'insert', '{"id": 1, "title": "a", "owner_id": 5}', '{"userId": 7}', 20, 'Error: ECONNREFUSED' || chr(10) || 'at x', now(), '2026-01-01Z'),
       (2, 'scan-media', 'update', '{"id": 1}', '{}', 1, 'Error: ' || chr(27) || '[31mred', now(), '2026-02-01Z'),
       (3, 'gone', 'insert', '{"id": 3, "owner_id": 5}', '{}', 1, null, now(), '2026-03-01Z')`,
  )
}

const stored = async (database: TestDatabase) => ({
  dead: (await database.sql('select id::int from pgpubsub.dead_letter order by id')).map(({ id }) => id),
  back: (await database.notifications()).map(({ id }) => Number(id)),
})

test('list shows a table to people, with no control character of an error in it, and pages', async ({
  database,
  dead,
}) => {
  await threeDead(database)
  const [all, page, none] = await Promise.all([
    dead('list'),
    dead('list', '--limit', '1', '--before', '3'),
    dead('list', '--listener', 'nobody'),
  ])
  expect([all.code, page.code, none.code]).toEqual([0, 0, 0])
  const lines = all.stdout.split('\n').filter((line) => /│ +\d/.test(line))
  expect(
    lines.map((line) =>
      line
        .split('│')
        .map((cell) => cell.trim())
        .slice(1, -1),
    ),
  ).toEqual([
    ['3', 'gone', 'insert', '1', '2026-03-01T00:00:00Z', ''],
    ['2', 'scan-media', 'update', '1', '2026-02-01T00:00:00Z', 'Error:  [31mred'],
    ['1', 'scan-media', 'insert', '20', '2026-01-01T00:00:00Z', 'Error: ECONNREFUSED'],
  ])
  expect(page.stdout).toContain('│  2 │')
  expect(page.stdout).toContain('--before 2')
  expect(page.stdout).not.toContain('│  1 │')
  expect(none.stdout).toBe('No dead letters.\n')
})

test('list --format json gives one object a line, decoded as the handler sees it where the module declares it', async ({
  database,
  dead,
}) => {
  await threeDead(database)
  const { stdout, stderr, code } = await dead(
    'list',
    '--format',
    'json',
    '--died-after',
    '2026-01-01',
    '--operation',
    'insert',
  )
  expect([code, stderr]).toEqual([0, ''])
  const [gone, scan, ...rest] = stdout
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
  expect(rest).toEqual([])
  expect(gone).toMatchObject({ id: '3', listener: 'gone', new: { owner_id: 5 }, error: null })
  expect(scan).toMatchObject({
    ...{ id: '1', operation: 'insert', old: null, context: { userId: 7 }, attempts: 20 },
    ...{ error: 'Error: ECONNREFUSED\nat x', diedAt: '2026-01-01T00:00:00.000Z' },
    new: { id: 1, title: 'a', ownerId: 5 },
  })
})

test('retry and discard take ids, or a filter, or --all, and say how many there were', async ({ database, dead }) => {
  await threeDead(database)
  expect(await dead('retry', '1', '99')).toEqual({ code: 0, stdout: 'retried 1\n', stderr: '' })
  expect(await stored(database)).toEqual({ dead: [2, 3], back: [1] })
  expect(await dead('discard', '--listener', 'scan-media', '--error', 'red', '--format', 'json')).toEqual({
    ...{ code: 0, stdout: '{"discarded":1}\n', stderr: '' },
  })
  expect(await stored(database)).toEqual({ dead: [3], back: [1] })
  expect(await dead('retry', '--all')).toMatchObject({ code: 0, stdout: 'retried 1\n' })
  expect(await stored(database)).toEqual({ dead: [], back: [1, 3] })
})

test('what names nothing, or two things, is wrong usage with exit code 2, and changes nothing', async ({
  database,
  dead,
}) => {
  await threeDead(database)
  const wrong = [
    ['retry'],
    ['discard'],
    ['discard', '1', '--all'],
    ['retry', '--listener', 'gone', '--all'],
    ['retry', 'one'],
    ['list', '--died-before', 'yesterday'],
    ['list', '--operation', 'upsert'],
    ['list', '--limit', '0'],
  ]
  const results = await Promise.all(wrong.map((args) => dead(...(args as [string]))))
  for (const [index, { code, stderr }] of results.entries()) {
    expect(code, wrong[index]?.join(' ')).toBe(2)
    expect(stderr).toMatch(/^error: /)
  }
  expect(await stored(database)).toEqual({ dead: [1, 2, 3], back: [] })
})

test('without an engine in the database it fails with exit code 1 and says what to do', async ({ dead }) => {
  const { code, stderr } = await dead('list')
  expect(code).toBe(1)
  expect(stderr).toMatch(/PGPUBSUB_NOT_INSTALLED: .*install\(\)/)
})
