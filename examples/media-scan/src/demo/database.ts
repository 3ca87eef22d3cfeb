import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { startPostgres } from '../../../../tools/postgres-server.ts'
import { schemaEngineEnvironment } from '../../../../tools/schema-engine.mjs'

const root = fileURLToPath(new URL('../../../..', import.meta.url))

/** A migrated database of the demo's own, with its server where none is given. Gone when disposed of. */
export class DemoDatabase implements AsyncDisposable {
  readonly url: string
  readonly server: string
  readonly #client: pg.Client
  readonly #drop: () => Promise<void>

  private constructor(url: string, server: string, client: pg.Client, drop: () => Promise<void>) {
    this.url = url
    this.server = server
    this.#client = client
    this.#drop = drop
  }

  static async start(): Promise<DemoDatabase> {
    const server = await startPostgres()
    const name = `media_scan_${randomBytes(6).toString('hex')}`
    const drop = async () => {
      if (server.kind === 'DATABASE_URL') await onServer(server.url, `drop database if exists ${name} with (force)`)
      await server.stop()
    }
    try {
      await onServer(server.url, `create database ${name}`)
      const url = new URL(server.url)
      url.pathname = `/${name}`
      await migrate(url.href)
      const client = new pg.Client(url.href)
      client.on('error', () => {}) // Ctrl-C may end the server first
      await client.connect()
      const { rows } = await client.query(`select split_part(current_setting('server_version'), ' ', 1) as version`)
      return new DemoDatabase(url.href, `PostgreSQL ${rows[0].version} (${server.kind})`, client, drop)
    } catch (error) {
      await drop()
      throw error
    }
  }

  /** How many rows are scanned, and how many notifications wait or are being handled. */
  async progress(): Promise<{ scanned: number; notifications: number }> {
    const { rows } = await this.#client.query(
      `select (select count(*)::int from media where scanned_at is not null) as scanned,
        (select count(*)::int from pgpubsub.notification) as notifications`,
    )
    return rows[0]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.end().catch(() => {})
    await this.#drop()
  }
}

/** As everywhere: Prisma's own command. */
async function migrate(url: string): Promise<void> {
  await promisify(execFile)('npx', ['prisma', 'migrate', 'deploy'], {
    cwd: root,
    env: { ...process.env, ...schemaEngineEnvironment(), DATABASE_URL: url, PRISMA_HIDE_UPDATE_MESSAGE: '1' },
    shell: process.platform === 'win32',
  })
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
