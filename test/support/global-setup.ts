import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import type { TestProject } from 'vitest/node'
import { startPostgres } from '../../tools/postgres-server.ts'
import { schemaEngineEnvironment } from '../../tools/schema-engine.mjs'
import { databaseUrl } from './database-url.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Connection string of the server's maintenance database. */
    postgresUrl: string
    /** Name of the database that tests copy: the migrations are applied, the engine is not installed. */
    templateDatabase: string
    /** The server's major version. What SQL it does not have yet, a test leaves out. */
    postgresMajor: number
    /** The major version that was asked for; undefined where any will do. */
    postgresVersion?: number
  }
}

/** One server for the whole run, with a template that the migrations have made. */
export default async function setUp(project: TestProject) {
  const { postgresVersion: version } = project.getProvidedContext()
  const server = await startPostgres(version === undefined ? {} : { version })
  const templateDatabase = `pgpubsub_template_${process.pid}`
  try {
    await onServer(server.url, `create database ${templateDatabase}`)
    const template = databaseUrl(server.url, templateDatabase)
    await (version === undefined ? migrate(template) : applyMigrations(template))
  } catch (error) {
    await server.stop()
    throw error
  }
  const [{ major }] = await onServer(server.url, `select current_setting('server_version_num')::int / 10000 as major`)
  project.provide('postgresMajor', major)
  project.provide('postgresUrl', server.url)
  project.provide('templateDatabase', templateDatabase)
  return async () => {
    await onServer(server.url, `drop database if exists ${templateDatabase} with (force)`)
    await server.stop()
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** As everybody does it. */
async function migrate(url: string): Promise<void> {
  await promisify(execFile)('npx', ['prisma', 'migrate', 'deploy'], {
    cwd: root,
    env: { ...process.env, ...schemaEngineEnvironment(), DATABASE_URL: url, PRISMA_HIDE_UPDATE_MESSAGE: '1' },
  })
}

/** Without Prisma's command line, which takes longer than the server's start. */
async function applyMigrations(url: string): Promise<void> {
  const migrations = join(root, 'prisma/migrations')
  const folders = (await readdir(migrations, { withFileTypes: true })).filter((entry) => entry.isDirectory())
  for (const { name } of folders.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    await onServer(url, await readFile(join(migrations, name, 'migration.sql'), 'utf8'))
  }
}

// biome-ignore lint/suspicious/noExplicitAny: a row's columns are known only to the statement
async function onServer(url: string, statement: string): Promise<any[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query(statement)).rows
  } finally {
    await client.end()
  }
}
