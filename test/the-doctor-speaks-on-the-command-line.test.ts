import { fileURLToPath } from 'node:url'
import { Command } from './support/command.ts'
import { expect, type TestDatabase, test as testWithDatabase } from './support/test.ts'

const module = fileURLToPath(new URL('./fixtures/media-listeners.ts', import.meta.url))

interface Result {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const test = testWithDatabase.extend<{ doctor: (...args: string[]) => Promise<Result> }>({
  /** `pgpubsub doctor …` on the test's database, to its end. */
  doctor: async ({ database }, use) => {
    const commands: Command[] = []
    await use(async (...args) => {
      const command = new Command(['doctor', ...args], { DATABASE_URL: database.url })
      commands.push(command)
      const code = await command.exitCode()
      return { code, stdout: command.stdout, stderr: command.stderr }
    })
    for (const command of commands) await command.kill()
  },
})

/** What the module declares, installed. */
async function install(database: TestDatabase): Promise<void> {
  const command = new Command(['install', module], { DATABASE_URL: database.url })
  expect(await command.exitCode(), command.stderr).toBe(0)
}

test('it says what is wrong and what to do, and a problem ends it with 1', async ({ doctor }) => {
  const missing = await doctor(module)
  expect(missing.code).toBe(1)
  expect(missing.stdout).toMatch(/^problem {2}schema pgpubsub {2}\(engine-missing\)\n {2}.*\n {2}→ pgpubsub install/)
  expect(missing.stdout).toMatch(/\n1 problem, 0 warnings, \d info\n$/)
  expect(missing.stderr).toBe('')
})

test('warnings end it with 0, and no control character of an error gets through', async ({ database, doctor }) => {
  await install(database)
  await database.sql(`insert into pgpubsub.dead_letter (id, listener, operation, context, attempts, last_error, created_at)
    values (1, 'scan-media', 'insert', '{}', 20, 'Error: ' || chr(27) || '[31mred', now())`)
  const [declared, installed] = await Promise.all([doctor(module), doctor()])
  for (const { code, stdout } of [declared, installed]) {
    expect(code).toBe(0)
    expect(stdout).toContain('warning  listener scan-media  (dead-letters)')
    expect(stdout).toContain('Error:  [31mred')
    expect(stdout).not.toContain('\u001b')
  }
})

test('--json prints the findings; only a module knows what should be there', async ({ database, doctor }) => {
  await install(database)
  const nothing = database.core()
  await nothing.install()
  const [declared, installed] = await Promise.all([
    doctor(module, '--json', '--role', 'pg_monitor'),
    doctor('--url', database.url, '--json'),
  ])
  expect([declared.code, installed.code]).toEqual([1, 0])
  const codes = (text: string) => JSON.parse(text).map((finding: { code: string }) => finding.code)
  expect(codes(declared.stdout)).toEqual(
    expect.arrayContaining(['missing-rights', 'trigger-missing', 'trigger-missing']),
  )
  expect(codes(installed.stdout)).not.toContain('trigger-missing')
  expect(JSON.parse(declared.stdout)[0]).toMatchObject({
    code: 'missing-rights',
    severity: 'problem',
    subject: 'role pg_monitor',
    message: expect.any(String),
    remedy: expect.any(String),
    details: { role: 'pg_monitor' },
  })
})

test('another schema, and wrong usage', async ({ database, doctor }) => {
  await database.core({ schema: 'other' }).install()
  const results = await Promise.all([
    doctor('--schema', 'other', '--json'),
    doctor('--json'),
    doctor(module, '--url', database.url),
    doctor('--role', 'nobody-there'),
    doctor('--url', ''),
  ])
  expect(results.map(({ code }) => code)).toEqual([0, 1, 2, 2, 2])
  const [, , both, role] = results
  expect(both!.stderr).toContain('give either it, or --url and --schema')
  expect(role!.stderr).toMatch(/no role .*nobody-there/)
})
