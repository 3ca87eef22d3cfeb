import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { fetchPgBouncer, findPgBouncer } from '../../tools/pgbouncer.mjs'
import { databaseUrl } from './database-url.ts'
import { type TestDatabase, vi } from './test.ts'

fetchPgBouncer()
const found = findPgBouncer()

/** Why there is no PgBouncer here; undefined where there is one. */
export const noPgBouncer: string | undefined = 'missing' in found ? found.missing : undefined

export interface PoolerOptions {
  /** Most connections to the server, shared by all clients. Fewer are shared by more. */
  connections?: number
}

/** A PgBouncer in transaction mode before the database, ended after the test. @returns its connection string */
export async function pgBouncer(database: TestDatabase, { connections = 3 }: PoolerOptions = {}): Promise<string> {
  if ('missing' in found) throw new Error(found.missing)
  const server = new URL(database.url)
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-pgbouncer-'))
  const file = join(folder, 'pgbouncer.ini')
  await writeFile(file, settings(server, port, connections))
  const isRoot = process.getuid?.() === 0
  if (isRoot) for (const path of [folder, file]) await chown(path, nobody.uid, nobody.gid)
  const log: string[] = []
  const child = spawn(found.command, [file], {
    ...(isRoot && nobody),
    env: { ...process.env, ...found.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => log.push(String(text)))
  const end = () => child.kill('SIGTERM')
  process.once('exit', end)
  const exit = once(child, 'exit')
  database.closeLater(async () => {
    process.removeListener('exit', end)
    end()
    await exit
    await rm(folder, { recursive: true })
  })
  const url = databaseUrl(`postgresql://anybody@127.0.0.1:${port}`, server.pathname.slice(1))
  await vi.waitFor(() => answers(url, log), { timeout: 10_000, interval: 20 })
  return url
}

/** PgBouncer refuses to run as root. */
const nobody = { uid: 65534, gid: 65534 }

const settings = ({ hostname, port, username, password }: URL, listenPort: number, connections: number) => `
[databases]
* = host=${hostname} port=${port || 5432} user=${decodeURIComponent(username)} password='${decodeURIComponent(password)}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${listenPort}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${connections}
max_client_conn = 200
`

async function answers(url: string, log: readonly string[]): Promise<void> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select 1')
  } catch (cause) {
    throw new Error(`PgBouncer does not answer:\n${log.join('')}`, { cause })
  } finally {
    await client.end()
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
