import { randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import pg from 'pg'

/** A database of a benchmark's own, with a pool for what the benchmark itself asks. Dropped at the end. */
export interface Database extends AsyncDisposable {
  readonly url: string
  readonly pool: pg.Pool
  /** Closes the pool: a database that is copied may have no connections. */
  disconnect(): Promise<void>
}

/** A new database with the tables of `prisma/migrations`. */
export async function migratedDatabase(serverUrl: string): Promise<Database> {
  const database = await createDatabase(serverUrl, 'template1')
  await database.pool.query(await migrations())
  return database
}

/** A copy of a database, down to its pages: every round begins with the very same table. */
export async function copyOf(serverUrl: string, original: Database): Promise<Database> {
  return createDatabase(serverUrl, new URL(original.url).pathname.slice(1))
}

async function createDatabase(serverUrl: string, template: string): Promise<Database> {
  const name = `bench_${process.pid}_${randomBytes(4).toString('hex')}`
  await onServer(serverUrl, `create database ${name} template ${template}`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  const pool = new pg.Pool({ connectionString: url.href, application_name: 'bench' })
  pool.on('error', () => {}) // a connection that is closing when its database is dropped
  let disconnected: Promise<void> | undefined
  const disconnect = () => {
    disconnected ??= pool.end()
    return disconnected
  }
  return {
    url: url.href,
    pool,
    disconnect,
    async [Symbol.asyncDispose]() {
      await disconnect()
      await onServer(serverUrl, `drop database if exists ${name} with (force)`)
    },
  }
}

async function migrations(): Promise<string> {
  const folder = new URL('../prisma/migrations/', import.meta.url)
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : [])).sort()
  const texts = await Promise.all(names.map((name) => readFile(new URL(`${name}/migration.sql`, folder), 'utf8')))
  return texts.join('\n')
}

async function onServer(serverUrl: string, statement: string): Promise<void> {
  const client = new pg.Client(serverUrl)
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}
