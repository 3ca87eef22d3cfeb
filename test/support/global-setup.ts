import { execFile } from 'node:child_process'
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
  }
}

/** One server for the whole run, with a template that `prisma migrate deploy` has made. */
export default async function setUp(project: TestProject) {
  const server = await startPostgres()
  const templateDatabase = `pgpubsub_template_${process.pid}`
  try {
    await onServer(server.url, `create database ${templateDatabase}`)
    await migrate(databaseUrl(server.url, templateDatabase))
  } catch (error) {
    await server.stop()
    throw error
  }
  const [{ version }] = await onServer(
    server.url,
    `select current_setting('server_version_num')::int / 10000 as version`,
  )
  project.provide('postgresMajor', version)
  project.provide('postgresUrl', server.url)
  project.provide('templateDatabase', templateDatabase)
  return async () => {
    await onServer(server.url, `drop database if exists ${templateDatabase} with (force)`)
    await server.stop()
  }
}

async function migrate(url: string): Promise<void> {
  const root = fileURLToPath(new URL('../..', import.meta.url))
  await promisify(execFile)('npx', ['prisma', 'migrate', 'deploy'], {
    cwd: root,
    env: { ...process.env, ...schemaEngineEnvironment(), DATABASE_URL: url, PRISMA_HIDE_UPDATE_MESSAGE: '1' },
  })
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
