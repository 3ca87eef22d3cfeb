import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { Agent, request } from 'node:http'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, type TestDatabase, test } from '../support/test.ts'

const examples = fileURLToPath(new URL('../../examples/frameworks/', import.meta.url))

/** Each program, and the status with which it answers a request that fails. */
const programs = [
  'src/express.ts',
  'src/fastify.ts',
  'src/hono.ts',
  'src/trpc.ts',
  'nestjs/main.ts',
  'nextjs/server.ts',
]

/** The example as a process of its own, that ends with the test. @returns its address */
async function start(database: TestDatabase, program: string): Promise<string> {
  const decorated = program.startsWith('nestjs') && { TSX_TSCONFIG_PATH: `${examples}nestjs/tsconfig.json` }
  const child = fork(examples + program, {
    execArgv: ['--import', 'tsx'],
    env: { ...process.env, ...decorated, NODE_ENV: 'production', DATABASE_URL: database.url },
    silent: true,
  })
  let errors = ''
  child.stderr?.on('data', (text) => {
    errors += text
  })
  const exit = once(child, 'exit')
  database.closeLater(async () => {
    child.kill('SIGKILL')
    await exit
  })
  const ended = exit.then(() => Promise.reject(new Error(`${program} has ended: ${errors}`)))
  ended.catch(() => {})
  const [url] = (await Promise.race([once(child, 'message'), ended])) as [string]
  return url
}

interface Answer {
  readonly ok: boolean
  readonly told: string
  readonly connection: Socket
}

interface Sent {
  readonly url: string
  readonly path: string
  readonly user: string | null
  readonly fails: boolean
}

/** A request that writes. @returns whether it succeeded, what it was told, and the connection that it came by */
function send(address: string, agent: Agent, { path, user, ...upload }: Sent): Promise<Answer> {
  const body = JSON.stringify(upload)
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
  return new Promise((resolve, reject) => {
    const sent = request(
      `${address}${path}`,
      { method: 'POST', agent, headers: user === null ? headers : { ...headers, 'x-user': user } },
      (response) => {
        const { socket: connection, statusCode = 500 } = response
        text(response).then((told) => resolve({ ok: statusCode < 300, told, connection }), reject)
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

/** Requests of many users, of nobody, and past the middleware; every fifth fails after it has written. */
const requests = Array.from({ length: 90 }, (_, n): Sent => {
  const user = n % 3 === 0 ? null : `user ${n}`
  return { url: `file:///${n}`, path: n % 3 === 1 ? '/webhooks' : '/media', user, fails: n % 5 === 0 }
})

/** What each request must have written, and in which context. */
const expected = requests.map(({ url, path, user, fails }) => {
  const context = path === '/webhooks' ? {} : { user: user ?? 'anonymous' }
  const titles = [null, 'in a transaction', 'in its raw SQL', ...(fails ? [] : ['in a batch'])]
  return { url, changes: titles.map((title) => ({ title, context })) }
})

const stored = `
  select n.new ->> 'url' as url,
    jsonb_agg(jsonb_build_object('title', n.new -> 'title', 'context', n.context) order by n.id) as changes
  from pgpubsub.notification n group by 1`

const byUrl = (rows: { url: string }[]) => Object.fromEntries(rows.map((row) => [row.url, row]))

async function build(program: string): Promise<void> {
  if (!program.startsWith('nextjs')) return
  const next = `${examples}node_modules/next/dist/bin/next`
  const env = { ...process.env, NODE_ENV: 'production' as const, NEXT_TELEMETRY_DISABLED: '1' }
  await promisify(execFile)(process.execPath, [next, 'build'], { cwd: `${examples}nextjs`, env })
}

test.for(programs)(
  '%s: each change has the context of its own request',
  { timeout: 90_000 },
  async (program, { database }) => {
    await build(program)
    const prisma = database.prisma()
    prisma.media.onPostSave('audit', () => {})
    await prisma.$pubsub.install()
    const address = await start(database, program)
    // fewer connections than requests, so that requests follow each other on them
    const agent = new Agent({ keepAlive: true, maxSockets: 12 })
    database.closeLater(async () => agent.destroy())

    const answers = await Promise.all(requests.map((sent) => send(address, agent, sent)))

    const unexpected = answers.filter(({ ok }, index) => ok === requests[index]?.fails)
    expect(unexpected.map(({ told }) => told)).toEqual([])
    expect(new Set(answers.map(({ connection }) => connection)).size).toBeLessThan(requests.length / 2)
    expect(byUrl(await database.sql(stored))).toEqual(byUrl(expected))
  },
)

test('the guide shows what the examples do', async () => {
  const guide = await readFile(new URL('../../docs/guide/frameworks.md', import.meta.url), 'utf8')
  const files = [...programs, 'nestjs/user-context.interceptor.ts', 'nextjs/with-user.ts'].map((file) =>
    readFile(examples + file, 'utf8'),
  )
  const sources = unindented((await Promise.all(files)).join('\n'))
  const blocks = [...guide.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => unindented(code as string))
  expect(blocks).toHaveLength(programs.length)
  for (const block of blocks) expect(sources).toContain(block)
})

const unindented = (code: string) => code.replace(/^ +/gm, '')
