import { execFile } from 'node:child_process'
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'
import { schemaEngineEnvironment } from '../../tools/schema-engine.mjs'
import { catalogue } from '../support/catalogue.ts'
import { databaseUrl } from '../support/database-url.ts'
import { expect, type TestDatabase, test } from '../support/test.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const cli = createRequire(import.meta.url).resolve('prisma/build/index.js')

/** A copy of prisma/ in a folder of its own, with the CLI to run on it. */
async function project(database: TestDatabase) {
  const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-prisma-'))
  database.closeLater(() => rm(folder, { recursive: true, force: true }))
  await cp(join(root, 'prisma/schema.prisma'), join(folder, 'schema.prisma'))
  await cp(join(root, 'prisma/migrations'), join(folder, 'migrations'), { recursive: true })
  const config = `export default {
    schema: 'schema.prisma', migrations: { path: 'migrations' }, datasource: { url: process.env.DATABASE_URL } }`
  await writeFile(join(folder, 'prisma.config.mjs'), config)
  const prisma = async (url: string, ...args: string[]): Promise<string> => {
    const env = { ...process.env, ...schemaEngineEnvironment(), DATABASE_URL: url, PRISMA_HIDE_UPDATE_MESSAGE: '1' }
    const { stdout } = await promisify(execFile)(process.execPath, [cli, ...args], { cwd: folder, env })
    return stdout
  }
  return { folder, prisma }
}

async function emptyDatabase(database: TestDatabase): Promise<string> {
  const name = `${new URL(database.url).pathname.slice(1)}_empty`
  await database.sql(`create database ${name}`)
  database.closeLater(() => database.sql(`drop database if exists ${name} with (force)`))
  return databaseUrl(database.url, name)
}

/** The triggers alone: what a migration of the models must leave alone. */
const triggersOf = async (database: TestDatabase) => (await catalogue(database)).triggers

test('generate, migrate and db push work, see no drift in the engine, and leave triggers and notifications alone', {
  timeout: 240_000,
}, async ({ database }) => {
  const { folder, prisma } = await project(database)
  const listening = database.prisma()
  listening.media.onPostSave('media', () => {})
  listening.measurement.onPostChange({ name: 'measurement', columns: ['value'] }, () => {})
  await listening.$pubsub.install()
  await listening.media.create({ data: { url: 'waiting' } })
  const installed = await catalogue(database)
  const schema = join(folder, 'schema.prisma')
  const diff = ['migrate', 'diff', '--from-config-datasource', '--to-schema', 'schema.prisma', '--exit-code']

  // no drift with the engine installed; a real difference is told by the exit code
  expect(await prisma(database.url, ...diff)).toContain('No difference detected')
  await appendFile(schema, 'model Note {\n  id Int @id\n  text String\n  @@schema("public")\n}\n')
  await expect(prisma(database.url, ...diff)).rejects.toMatchObject({ code: 2 })

  // sql() as a migration: over what is installed, in the shadow database, and in an empty one
  const listeners = join(folder, 'migrations', '20260102000000_listeners')
  await mkdir(listeners)
  await writeFile(join(listeners, 'migration.sql'), await listening.$pubsub.sql())
  await prisma(database.url, 'migrate', 'deploy')
  expect(await catalogue(database)).toEqual(installed)

  const [generated] = await Promise.all([
    prisma(database.url, 'generate'),
    prisma(database.url, 'migrate', 'dev', '--name', 'note'),
  ])
  expect(generated).toContain('Generated Prisma Client')
  expect(await readFile(join(folder, 'generated/client.ts'), 'utf8')).toContain('Note')
  const created = (await readdir(join(folder, 'migrations'))).find((name) => name.endsWith('_note')) as string
  const statements = await readFile(join(folder, 'migrations', created, 'migration.sql'), 'utf8')
  expect(statements.match(/^(?:create|alter|drop).*/gim)).toEqual(['CREATE TABLE "Note" ('])
  await database.sql(`insert into "Note" values (1, 'made by migrate dev')`)

  const empty = await emptyDatabase(database)
  await prisma(empty, 'migrate', 'deploy')
  const client = new pg.Client(empty)
  await client.connect()
  await client.query(`insert into media (url) values ('deployed')`)
  const deployed = await client.query('select listener, new from pgpubsub.notification')
  await client.end()
  expect(deployed.rows).toMatchObject([{ listener: 'media', new: { url: 'deployed' } }])

  await writeFile(schema, (await readFile(schema, 'utf8')).replace('text String', 'text String\n  title String?'))
  expect(await prisma(database.url, 'db', 'push')).toContain('in sync')
  await database.sql('select title from "Note"')
  expect(await triggersOf(database)).toEqual(installed.triggers)
  expect(await database.notifications()).toMatchObject([{ listener: 'media', new: { url: 'waiting' } }])
  await listening.media.create({ data: { url: 'captured' } })
  expect(await database.notifications()).toHaveLength(2)
})
