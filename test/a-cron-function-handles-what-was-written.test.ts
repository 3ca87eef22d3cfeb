import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Command } from './support/command.ts'
import { expect, test as testWithDatabase, vi } from './support/test.ts'

/** What the service that sends mails was asked for. */
interface MailService {
  readonly url: string
  readonly mails: { to: string; text: string; key: unknown }[]
  /** How it answers. */
  status: number
}

const test = testWithDatabase.extend<{ mailService: MailService; url: string }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  mailService: async ({}, use) => {
    const server = createServer(async (request, answer) => {
      const mail = JSON.parse(await text(request))
      if (service.status === 202) service.mails.push({ ...mail, key: request.headers['idempotency-key'] })
      answer.writeHead(service.status).end()
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const service: MailService = {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mails`,
      mails: [],
      status: 202,
    }
    await use(service)
    server.closeAllConnections()
    server.close()
  },
  /** Where the functions of the example can be called. */
  url: async ({ database, mailService }, use) => {
    const env = { DATABASE_URL: database.url, MAIL_URL: mailService.url, CRON_SECRET: 'secret', PORT: '0' }
    const file = fileURLToPath(new URL('../examples/cron-function/src/serve.ts', import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', file], {
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const ended = once(child, 'close')
    await use(await addressOf(child))
    child.kill('SIGKILL')
    await ended
  },
})

async function addressOf({ stdout, stderr }: ChildProcess): Promise<string> {
  let printed = ''
  for (const stream of [stdout, stderr]) {
    stream?.on('data', (data) => {
      printed += data
    })
  }
  return vi.waitFor(() => /listening on (\S+)/.exec(printed)?.[1] ?? expect.fail(`printed: ${printed}`), {
    timeout: 20_000,
    interval: 10,
  })
}

async function call(url: string, options?: RequestInit): Promise<unknown> {
  const answer = await fetch(url, options)
  return { status: answer.status, body: await answer.json().catch(() => null) }
}

const authorized = { headers: { authorization: 'Bearer secret' } }

const signUp = (url: string, email: string) =>
  call(`${url}/sign-up`, {
    method: 'POST',
    headers: { 'x-forwarded-for': '192.0.2.1' },
    body: JSON.stringify({ email }),
  })

test('the example: what one function writes, the scheduled one handles, and again what has failed', async ({
  database,
  mailService,
  url,
}) => {
  const emails = ['ada@example.com', 'linus@example.com', 'grace@example.com']
  for (const email of emails) expect(await signUp(url, email)).toMatchObject({ status: 201 })
  expect(mailService.mails).toEqual([])
  expect(await call(`${url}/cron`)).toEqual({ status: 401, body: null })

  const results = await Promise.all([1, 2, 3].map(() => call(`${url}/cron`, authorized)))
  expect(results.map((result) => (result as { status: number }).status)).toEqual([200, 200, 200])
  expect(mailService.mails.map(({ to }) => to).sort()).toEqual([...emails].sort())
  expect(mailService.mails[0]).toMatchObject({
    text: 'Welcome! You signed up from 192.0.2.1.',
    key: expect.stringMatching(/^welcome-\d+$/),
  })
  expect(await database.notifications()).toEqual([])

  mailService.status = 503
  await signUp(url, 'edgar@example.com')
  expect(await call(`${url}/cron`, authorized)).toEqual({ status: 200, body: { processed: 1, remaining: 0 } })
  expect(await database.notifications()).toMatchObject([{ attempts: 1 }])
  mailService.status = 202
  await database.sql('update pgpubsub.notification set run_at = now()')
  expect(await call(`${url}/cron`, authorized)).toEqual({ status: 200, body: { processed: 1, remaining: 0 } })
  expect(mailService.mails).toHaveLength(4)
})

const module = fileURLToPath(new URL('./fixtures/media-listeners.ts', import.meta.url))

test('pgpubsub process does the same from the command line', async ({ database }) => {
  const run = async (...args: string[]) => {
    const command = new Command(args, { DATABASE_URL: database.url })
    return { exitCode: await command.exitCode(), printed: command.stdout || command.stderr }
  }
  expect(await run('process', module)).toEqual({ exitCode: 1, printed: expect.stringContaining('install()') })
  await run('install', module)
  await database.sql(`insert into media (url, title) values ('x', 'one'), ('x', 'broken'), ('x', 'two')`)
  await database.sql(`insert into "user" (email) values ('ada@example.com')`)
  expect(await run('process', module, '--context', '{"tenant":"a"}')).toEqual({
    exitCode: 0,
    printed: 'processed 0, remaining 0\n',
  })
  const limited = ['--listeners', 'greet-user,scan-media', '--max', '1', '--max-ms', '60000', '--format', 'json']
  expect(await run('process', module, ...limited)).toEqual({ exitCode: 0, printed: '{"processed":1,"remaining":3}\n' })
  expect(await run('process', module, '--log-level', 'silent')).toEqual({
    exitCode: 0,
    printed: 'processed 3, remaining 0\n',
  })
  expect(await database.sql('select title, status::text from media where virus is not null order by title')).toEqual([
    { title: 'one', status: 'scanned clean' },
    { title: 'two', status: 'scanned clean' },
  ])
  expect(await run('process', module, '--max', '0')).toMatchObject({ exitCode: 2 })
  expect(await run('process', module, '--context', 'a')).toMatchObject({ exitCode: 2 })
})
