import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Command } from './support/command.ts'
import { expect, type TestDatabase, test as testWithDatabase, vi } from './support/test.ts'

const module = fileURLToPath(new URL('./fixtures/media-listeners.ts', import.meta.url))

type Pgpubsub = (...args: string[]) => Command

const test = testWithDatabase.extend<{ pgpubsub: Pgpubsub; folder: string }>({
  /** Starts the command line on the test's database; whatever still runs after the test is killed. */
  pgpubsub: async ({ database }, use) => {
    const commands: Command[] = []
    await use((...args) => {
      const command = new Command(args, { DATABASE_URL: database.url })
      commands.push(command)
      return command
    })
    for (const command of commands) await command.kill()
  },
  /** A folder of its own for modules. */
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  folder: async ({}, use) => {
    const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-cli-'))
    await use(folder)
    await rm(folder, { recursive: true })
  },
})

const insertMedia = async (database: TestDatabase, title: string): Promise<number> =>
  (await database.sql(`insert into media (url, title) values ('new', $1) returning id`, [title]))[0].id

const media = async (database: TestDatabase, id: number) =>
  (await database.sql('select url, status::text as status from media where id = $1', [id]))[0]

const installed = `select from pg_trigger t join pg_class c on c.oid = t.tgrelid
  where c.relname = 'media' and not t.tgisinternal`

/** The handler of the row runs, and waits until it is told to go on. */
const scanning = (database: TestDatabase, id: number) =>
  vi.waitFor(async () => expect(await media(database, id)).toEqual({ url: 'scanning', status: 'Pending' }), {
    timeout: 15_000,
  })

const goOn = (database: TestDatabase, id: number) =>
  database.sql(`insert into tag (label, media_id) values ('go on', $1)`, [id])

async function listening(pgpubsub: Pgpubsub, ...args: string[]): Promise<Command> {
  const command = pgpubsub('listen', module, '--install', '--log-format', 'json', ...args)
  await command.logged('listening')
  return command
}

test.for(['SIGTERM', 'SIGINT'] as const)(
  'listen handles the backlog, then what comes; %s stops it with exit code 0',
  async (signal, { database, pgpubsub }) => {
    expect(await pgpubsub('install', module).exitCode()).toBe(0)
    await insertMedia(database, 'waited')
    const command = pgpubsub('listen', module, '--log-format', 'json', '--log-level', 'debug')
    expect(await command.logged('handled')).toMatchObject({ listener: 'scan-media', attempt: 1 })
    expect(await command.logged('listening')).toMatchObject({ listeners: ['scan-media', 'greet-user'] })
    const [{ id }] = await database.sql(`insert into "user" (email) values ('a@b.c') returning id`)
    await database.drained()

    command.signal(signal)

    expect(await command.exitCode()).toBe(0)
    expect(await command.logged('stopping')).toMatchObject({ signal })
    expect(command.log.at(-1).msg).toBe('stopped')
    expect(command.stderr).toBe('')
    expect(await database.sql(`select count(*)::int from media where status = 'scanned clean'`)).toEqual([{ count: 1 }])
    expect(await database.sql('select name from "user" where id = $1', [id])).toEqual([{ name: 'Hello a@b.c' }])
  },
)

test('a handler that runs when the signal comes may finish', async ({ database, pgpubsub }) => {
  const command = await listening(pgpubsub)
  const id = await insertMedia(database, 'slow')
  await scanning(database, id)

  command.signal('SIGTERM')
  await command.logged('stopping')
  await goOn(database, id)

  expect(await command.exitCode()).toBe(0)
  expect(await media(database, id)).toEqual({ url: 'scanning', status: 'scanned clean' })
  expect(await database.notifications()).toEqual([])
})

test('after the grace period a running handler is given up, and its notification goes back unharmed', async ({
  database,
  pgpubsub,
}) => {
  const command = await listening(pgpubsub, '--grace', '0.1')
  const id = await insertMedia(database, 'slow')
  await scanning(database, id)

  const told = performance.now()
  command.signal('SIGTERM')

  expect(await command.exitCode()).toBe(0)
  expect(performance.now() - told, 'well before the default grace period of 10 s').toBeLessThan(9_000)
  expect(await database.notifications()).toMatchObject([{ listener: 'scan-media', attempts: 0, run_at: null }])
})

test('a second signal ends it at once', async ({ database, pgpubsub }) => {
  const command = await listening(pgpubsub, '--grace', '600')
  const id = await insertMedia(database, 'slow')
  await scanning(database, id)

  command.signal('SIGINT')
  await command.logged('stopping')
  // one Ctrl-C may come twice, so that only a later one counts as the second
  const insist = setInterval(() => command.signal('SIGTERM'), 50)
  const exitCode = await command.exitCode()
  clearInterval(insist)

  expect(exitCode).toBe(143)
  expect(await database.notifications()).toHaveLength(1)
})

test('one Ctrl-C that comes twice, from the terminal and from npm, is one', async ({ database, pgpubsub }) => {
  const command = await listening(pgpubsub, '--grace', '600')
  const id = await insertMedia(database, 'slow')
  await scanning(database, id)

  command.signal('SIGINT')
  await command.logged('stopping')
  command.signal('SIGINT')
  await goOn(database, id)

  expect(await command.exitCode()).toBe(0)
  expect(await database.notifications()).toEqual([])
})

test('--listeners runs only those that are named', async ({ database, pgpubsub }) => {
  const command = await listening(pgpubsub, '--listeners', 'greet-user')
  expect(await command.logged('listening')).toMatchObject({ listeners: ['greet-user'] })
  await insertMedia(database, 'not now')
  await database.sql(`insert into "user" (email) values ('a@b.c')`)
  await vi.waitFor(
    async () => expect(await database.sql('select name from "user"')).toEqual([{ name: 'Hello a@b.c' }]),
    { timeout: 15_000 },
  )
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
  expect(await database.notifications()).toMatchObject([{ listener: 'scan-media' }])
})

test('--context runs only changes whose context contains it', async ({ database, pgpubsub }) => {
  const command = await listening(pgpubsub, '--context', '{"tenant":"a"}')
  const greeted = (tenant: string, email: string) =>
    database.sql(
      `with c as materialized (select set_config('pgpubsub.notification_context', $1, true))
      insert into "user" (email) select $2 from c`,
      [JSON.stringify({ tenant, more: 1 }), email],
    )
  await greeted('b', 'b@b.c')
  await greeted('a', 'a@b.c')
  await vi.waitFor(
    async () =>
      expect(await database.sql('select name from "user" order by email')).toEqual([
        { name: 'Hello a@b.c' },
        { name: null },
      ]),
    { timeout: 15_000 },
  )
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
  expect(await database.notifications()).toMatchObject([{ context: { tenant: 'b', more: 1 } }])
})

test('--concurrency limits how many handlers of a listener run at once', async ({ database, pgpubsub }) => {
  expect(await pgpubsub('install', module).exitCode()).toBe(0)
  await database.sql(`insert into media (url) select 'new' from generate_series(1, 20)`)
  const command = pgpubsub('listen', module, '--concurrency', '1')
  await database.drained()
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
  expect(await database.sql('select distinct virus from media')).toEqual([{ virus: '1 at once' }])
})

test('a failed attempt is one JSON line with its error, and is not written to the console as well', async ({
  database,
  pgpubsub,
}) => {
  const command = await listening(pgpubsub)
  await insertMedia(database, 'broken')
  expect(await command.logged('the last attempt failed: a dead letter')).toMatchObject({
    level: 50,
    listener: 'scan-media',
    attempt: 1,
    err: { type: 'Error', message: 'this one cannot be scanned' },
  })
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
  expect(command.stderr).toBe('')
})

test('--log-format pretty writes for people, without colours where there is no terminal', async ({
  database,
  pgpubsub,
}) => {
  const command = pgpubsub('listen', module, '--install', '--log-format', 'pretty')
  await vi.waitFor(() => expect(command.stdout).toContain('INFO: listening'), { timeout: 20_000 })
  await insertMedia(database, 'broken')
  await vi.waitFor(() => expect(command.stdout).toContain('ERROR: the last attempt failed'), { timeout: 15_000 })
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
  expect(command.stdout).toContain('INFO: stopped')
  expect(command.stdout).not.toContain('\u001b[')
})

test('--log-level silent says nothing', async ({ database, pgpubsub }) => {
  const command = pgpubsub('listen', module, '--install', '--log-level', 'silent')
  await vi.waitFor(async () => expect(await database.sql(installed)).toHaveLength(1), { timeout: 15_000 })
  const id = await insertMedia(database, 'quiet')
  await vi.waitFor(async () => expect(await media(database, id)).toMatchObject({ status: 'scanned clean' }), {
    timeout: 15_000,
  })
  command.signal('SIGTERM')
  expect(await command.exitCode()).toBe(0)
  expect(command.stdout + command.stderr).toBe('')
})

test('what is thrown outside of a handler ends it with exit code 1 and one line', async ({ database, pgpubsub }) => {
  const command = await listening(pgpubsub)
  await insertMedia(database, 'deadly')
  expect(await command.exitCode()).toBe(1)
  expect(JSON.parse(command.stderr)).toMatchObject({ level: 60, msg: 'outside of the handler' })
})

test('install tells what it has done, and sql prints the same to be applied over itself', async ({
  database,
  pgpubsub,
}) => {
  const first = pgpubsub('install', module)
  expect(await first.exitCode()).toBe(0)
  expect(first.stdout).toMatch(/^engine: version 0 -> \d+\ncreated public\.media: .+\ncreated public\.user: .+\n$/)
  const sql = pgpubsub('sql', module)
  expect(await sql.exitCode()).toBe(0)
  await database.sql(sql.stdout)
  const second = pgpubsub('install', module)
  expect(await second.exitCode()).toBe(0)
  expect(second.stdout).toBe('Everything is in place already.\n')
  expect(first.stderr + sql.stderr + second.stderr).toBe('')
})

test('the module may have its own tsconfig.json and export a function that returns the client', async ({
  folder,
  pgpubsub,
}) => {
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({ compilerOptions: { paths: { '#listeners': [module] } } }),
  )
  await writeFile(
    join(folder, 'entry.ts'),
    "export default async () => (await import('#listeners')).prisma satisfies object",
  )
  const command = pgpubsub('install', join(folder, 'entry.ts'), '--log-format', 'pretty')
  expect(await command.exitCode(), command.stderr).toBe(0)
  expect(command.stdout).toContain('created public.media')
})

test('the module may be JavaScript, and CommonJS', async ({ folder, pgpubsub }) => {
  await writeFile(
    join(folder, 'entry.cjs'),
    'module.exports = { prisma: () => ({ $pubsub: fake }) }\nconst call = async () => "-- sql"\nconst fake = { listen: call, logTo() {}, sql: call, close: call }',
  )
  const command = pgpubsub('sql', join(folder, 'entry.cjs'), '--log-format', 'pretty')
  expect(await command.exitCode(), command.stderr).toBe(0)
  expect(command.stdout).toBe('-- sql')
})

test('package.json may name the module', async ({ database, folder }) => {
  await writeFile(join(folder, 'package.json'), JSON.stringify({ pgpubsub: { module } }))
  const command = new Command(['install'], { DATABASE_URL: database.url }, { cwd: folder })
  expect(await command.exitCode()).toBe(0)
  expect(command.stdout).toContain('created public.media')
})

test('a listener that is not declared is wrong usage, and the message names those that are', async ({ pgpubsub }) => {
  const command = pgpubsub('listen', module, '--install', '--listeners', 'scan-media,nobody', '--log-format', 'pretty')
  expect(await command.exitCode()).toBe(2)
  expect(command.stderr).toBe(
    'pgpubsub: PGPUBSUB_UNKNOWN_LISTENER: No listener named "nobody" is declared here. Import the module that declares it. Declared are "scan-media", "greet-user".\n',
  )
})

test('a module that is not there, has no client, or throws is told in one line', async ({ folder, pgpubsub }) => {
  const write = async (name: string, text: string) => {
    await writeFile(join(folder, name), text)
    return join(folder, name)
  }
  const cases = [
    [join(folder, 'nowhere.ts'), 2, 'PGPUBSUB_INVALID_MODULE: There is no module'],
    [await write('nothing.ts', 'export const db = {}'), 2, 'PGPUBSUB_INVALID_MODULE: .* exports no Prisma Client with'],
    [await write('plain.mjs', 'export default { $connect() {} }'), 2, 'PGPUBSUB_INVALID_MODULE: .* exports no Prisma'],
    [await write('throws.ts', 'throw new Error("no\\n  settings")'), 1, 'throws.ts cannot be imported .*: no settings'],
    [await write('syntax.ts', 'export const = 1'), 1, 'syntax.ts cannot be imported .*Expected identifier'],
    [await write('missing.mjs', 'import "./gone.js"'), 1, 'missing.mjs cannot be imported .*gone.js'],
  ] as const
  await Promise.all(
    cases.map(async ([file, exitCode, message]) => {
      const command = pgpubsub('listen', file, '--log-format', 'pretty')
      expect(await command.exitCode(), command.stderr).toBe(exitCode)
      expect(command.stderr).toMatch(new RegExp(`^pgpubsub: .*${message}.*\n$`))
      expect(command.stdout).toBe('')
    }),
  )
})

test('--log-level debug shows where it was thrown', async ({ folder, pgpubsub }) => {
  const file = join(folder, 'throws.ts')
  await writeFile(file, 'const settings: string | null = null\nthrow new Error("no settings")')
  const pretty = pgpubsub('listen', file, '--log-format', 'pretty', '--log-level', 'debug')
  const json = pgpubsub('listen', file, '--log-format', 'json', '--log-level', 'debug')
  expect(await pretty.exitCode()).toBe(1)
  expect(pretty.stderr).toContain('throws.ts:2:')
  expect(await json.exitCode()).toBe(1)
  expect(JSON.parse(json.stderr).err.stack).toContain('throws.ts:2:')
})

test('where the engine is not installed, it says what to do', async ({ pgpubsub }) => {
  const command = pgpubsub('listen', module, '--log-format', 'pretty')
  expect(await command.exitCode()).toBe(1)
  expect(command.stderr).toMatch(/^pgpubsub: PGPUBSUB_NOT_INSTALLED: .*install\(\).*\n$/)
})

test('a database that cannot be reached is told in one line, with exit code 1', async ({ database }) => {
  const nowhere = new URL(database.url)
  nowhere.pathname = '/nowhere'
  const urls = [nowhere.href, 'postgresql://postgres@127.0.0.1:1/nowhere', 'postgresql://postgres@nowhere.invalid/db']
  await Promise.all(
    urls.map(async (url) => {
      const command = new Command(['listen', module, '--log-format', 'pretty'], { DATABASE_URL: url })
      expect(await command.exitCode()).toBe(1)
      expect(command.stderr).toMatch(/^pgpubsub: The database cannot be reached: .*(nowhere|127\.0\.0\.1:1).*\n$/)
    }),
  )
})

test('with --log-format json what ends it is one JSON line too, with its code', async ({ folder, pgpubsub }) => {
  const command = pgpubsub('listen', join(folder, 'nowhere.ts'), '--log-format', 'json', '--log-level', 'silent')
  expect(await command.exitCode()).toBe(2)
  expect(JSON.parse(command.stderr)).toMatchObject({ level: 60, code: 'PGPUBSUB_INVALID_MODULE' })
})

test('wrong options are told with exit code 2', async ({ pgpubsub }) => {
  const cases = [
    [[], 'Usage: pgpubsub'],
    [['lissen', module], "unknown command 'lissen'"],
    [['listen'], "missing required argument 'module'"],
    [['listen', module, '--listener', 'x'], "unknown option '--listener'"],
    [['listen', module, '--listeners', ', ,'], 'at least one name'],
    [['listen', module, '--concurrency', '0'], 'a whole number from 1'],
    [['listen', module, '--context', 'a'], 'a JSON object'],
    [['listen', module, '--context', '[1]'], 'a JSON object'],
    [['listen', module, '--grace', '-1'], 'a number of seconds'],
    [['listen', module, '--log-level', 'loud'], 'Allowed choices are debug, info, warn, error, silent'],
    [['listen', module, '--log-format', 'xml'], 'Allowed choices are pretty, json'],
  ] as const
  await Promise.all(
    cases.map(async ([args, message]) => {
      const command = pgpubsub(...args)
      expect(await command.exitCode(), args.join(' ')).toBe(2)
      expect(command.stderr).toContain(message)
      expect(command.stdout).toBe('')
    }),
  )
})

test('--help teaches: commands, options, examples and exit codes; --version prints the version', async ({
  pgpubsub,
}) => {
  const [help, listen, install, sql, version] = [
    pgpubsub('--help'),
    pgpubsub('listen', '--help'),
    pgpubsub('install', '--help'),
    pgpubsub('sql', '--help'),
    pgpubsub('--version'),
  ]
  for (const command of [help, listen, install, sql, version]) expect(await command.exitCode()).toBe(0)
  for (const word of ['listen', 'install', 'sql', '--version', 'Examples:', 'Exit codes:']) {
    expect(help.stdout).toContain(word)
  }
  const options = [
    '--listeners',
    '--concurrency',
    '--context',
    '--grace',
    '--install',
    '--log-level',
    '--log-format',
    '--help',
  ]
  for (const word of [...options, 'Examples:', 'SIGTERM', '(default: 10)']) expect(listen.stdout).toContain(word)
  for (const { stdout } of [install, sql]) expect(stdout).toContain('Example:')
  const manifest = new URL('../packages/prisma-extension/package.json', import.meta.url)
  expect(version.stdout.trim()).toBe(JSON.parse(await readFile(manifest, 'utf8')).version)
})
