import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { Command } from './support/command.ts'
import { expect, type TestDatabase, test as testWithDatabase, vi } from './support/test.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The TypeScript blocks of "Your first listener, in five minutes", in their order. */
async function blocks(): Promise<string[]> {
  const readme = await readFile(join(root, 'README.md'), 'utf8')
  const [, section = ''] = /^## Your first listener.*\n([\s\S]*?)^## /m.exec(readme) ?? []
  return [...section.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code as string)
}

const sendMail = `
export async function sendMail(to: string, text: string): Promise<void> {
  console.log(\`mail to \${to}: \${text}\`)
}
`
const tsconfig = JSON.stringify({ extends: '../../tsconfig.base.json', compilerOptions: { noEmit: true } })

/** The README's project: its blocks as files, and what it takes for granted: a generated client and a way to send mail. */
async function writeProject(folder: string): Promise<void> {
  const [db = '', listeners = '', worker = '', write = '', ...more] = await blocks()
  expect(more, 'blocks that this test does not know').toEqual([])
  expect([db, listeners, worker].map((block) => block.split('\n')[0])).toEqual([
    '// db.ts',
    '// listeners.ts',
    '// worker.ts',
  ])
  const files = {
    'tsconfig.json': tsconfig,
    'generated/prisma/client.ts': `export * from '../../../../prisma/generated/client.js'\n`,
    'send-mail.ts': sendMail,
    'db.ts': db,
    'listeners.ts': `import { sendMail } from './send-mail.js'\n${listeners}`,
    'worker.ts': worker,
    'write.ts': `import { prisma } from './db.js'\n${write}await prisma.$disconnect()\n`,
  }
  await mkdir(join(folder, 'generated/prisma'), { recursive: true })
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
}

const test = testWithDatabase.extend<{ project: string }>({
  // inside the repository, so that its packages are found, where neither git nor the other checks look
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  project: async ({}, use) => {
    await mkdir(join(root, 'dist'), { recursive: true })
    const folder = await mkdtemp(join(root, 'dist/readme-'))
    try {
      await writeProject(folder)
      await use(folder)
    } finally {
      await rm(folder, { recursive: true })
    }
  },
})

/** Step 4, in a process of its own. */
async function write(project: string, { url }: TestDatabase): Promise<void> {
  const env = { ...process.env, DATABASE_URL: url }
  await promisify(execFile)(process.execPath, ['--import', 'tsx', 'write.ts'], { cwd: project, env, timeout: 20_000 })
}

const theMail = 'mail to ada@example.com: Welcome, invited by 7\n'

const ended = (child: ChildProcess) => new Promise<number | null>((resolve) => child.once('close', resolve))

test('the first listener of the README compiles under the strictest of rules', async ({ project }) => {
  const tsc = promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['--project', project], { timeout: 20_000 })
  const { stdout } = await tsc.catch((failed) => failed)
  expect(stdout).toBe('')
})

test('its worker sends the mail of its write, once, and ends at SIGTERM', async ({ database, project }) => {
  const worker = spawn(process.execPath, ['--import', 'tsx', 'worker.ts'], {
    cwd: project,
    env: { ...process.env, DATABASE_URL: database.url },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exitCode = ended(worker)
  let printed = ''
  worker.stdout.on('data', (text) => {
    printed += text
  })
  try {
    const listening = `select from pg_stat_activity where datname = current_database() and application_name = 'pgpubsub listen'`
    await vi.waitFor(async () => expect(await database.sql(listening)).toHaveLength(1), { timeout: 15_000 })
    await write(project, database)
    await vi.waitFor(() => expect(printed).toBe(theMail), { timeout: 10_000 })
    await database.drained()
    worker.kill('SIGTERM')
    expect(await exitCode).toBe(0)
    expect(printed).toBe(theMail)
  } finally {
    worker.kill('SIGKILL')
    await exitCode
  }
})

test('the command line does the same with its listeners', async ({ database, project }) => {
  const args = ['listen', join(project, 'listeners.ts'), '--install', '--log-level', 'silent']
  const command = new Command(args, { DATABASE_URL: database.url })
  try {
    const installed = `select from pg_trigger where tgname like '%welcome-mail'`
    await vi.waitFor(async () => expect(await database.sql(installed)).toHaveLength(2), { timeout: 15_000 })
    await write(project, database)
    await vi.waitFor(() => expect(command.stdout).toBe(theMail), { timeout: 10_000 })
    command.signal('SIGTERM')
    expect(await command.exitCode()).toBe(0)
  } finally {
    await command.kill()
  }
})
