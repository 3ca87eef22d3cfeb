import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, inject } from 'vitest'
import { z } from 'zod'
import { blocksOf, commandsInText, taughtBlocks, taughtPages } from './support/docs.ts'
import { compile, type DocsProject, docsProject } from './support/docs-project.ts'
import { complaintsAbout, refusalOfPart } from './support/shown-commands.ts'
import { expect, type TestDatabase, test } from './support/test.ts'

let project: DocsProject

beforeAll(async () => {
  project = await docsProject(inject('postgresUrl'))
})

afterAll(() => project?.remove())

/** The tables of the models of the docs in place of those of the tests. */
async function giveTables({ sql }: Pick<TestDatabase, 'sql'>): Promise<void> {
  await sql(`drop schema public cascade; create schema public; ${project.tables}`)
}

test('every block says what it is', async () => {
  const blocks = (await Promise.all((await taughtPages()).map(blocksOf))).flat()
  const known = ['ts', 'sh', 'sql', 'prisma', 'text']
  const others = blocks.filter(({ language }) => !known.includes(language))
  expect(others.map(({ page, line, language }) => `${page}:${line} is "${language}", none of ${known}`)).toEqual([])
})

test('TypeScript compiles, under the strictest of rules', async () => {
  expect(project.modules.length).toBeGreaterThan(30)
  expect(await compile(project)).toEqual([])
})

test('TypeScript runs, and its listeners handle what is written', { timeout: 60_000 }, async ({ database }) => {
  await giveTables({ sql: (text) => database.sql(text) })
  const modules = project.modules.filter(({ runs }) => runs)
  expect(modules.length).toBeGreaterThan(20)
  const args = ['--import', 'tsx', 'run.ts', ...modules.map(({ file }) => file)]
  const env = { ...process.env, DATABASE_URL: database.url }
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: project.folder, env })
  const told = new Map(
    stdout
      .split('\n')
      .filter((line) => line.startsWith('{"file":'))
      .map((line) => JSON.parse(line) as { file: string; thrown: string[] })
      .map(({ file, thrown }) => [file, thrown]),
  )
  const thrown = modules.flatMap(({ file, block }) =>
    (told.get(file) ?? ['it ended the process']).map((error) => `${block.page}:${block.line}: ${error}`),
  )
  expect(thrown).toEqual([])
})

test('SQL is accepted by the server, and stores what its page says', async ({ database }) => {
  await giveTables({ sql: (text) => database.sql(text) })
  const core = database.core()
  core.onChange({ name: 'scan-media', table: 'media', operations: ['insert'] }, () => {})
  core.channel('media.scanned', z.unknown()).on('mail-owner', () => {})
  await core.install()
  const client = await database.pool.connect()
  const failed: string[] = []
  const stored: [page: string, listener: string, context: unknown][] = []
  for (const { page, line, code } of await taughtBlocks('sql')) {
    // a block that ends its transaction by itself has the roles of no other
    const begins = /^begin;/m.test(code)
    try {
      if (!begins) await client.query('begin; create role app; create role worker; create role importer')
      await client.query(code)
      const { rows } = await client.query('select listener, context from pgpubsub.notification order by id')
      for (const { listener, context } of rows) stored.push([page, listener, context])
    } catch (error) {
      failed.push(`${page}:${line}: ${(error as Error).message}`)
    } finally {
      await client.query('rollback')
      await client.query('delete from pgpubsub.notification')
    }
  }
  client.release()
  expect(failed).toEqual([])
  expect(stored).toEqual([
    ['docs/guide/channels.md', 'mail-owner', {}],
    ['docs/guide/channels.md', 'mail-owner', { job: 'nightly' }],
    ['docs/guide/context.md', 'scan-media', { job: 'import' }],
  ])
})

test('commands, and their options, exist', { timeout: 60_000 }, async () => {
  const complaints = await Promise.all((await taughtBlocks('sh')).map(complaintsAbout))
  expect(complaints.flat()).toEqual([])
})

test('commands that are named in the text exist too', async () => {
  const named = (await Promise.all((await taughtPages()).map(commandsInText))).flat()
  expect(named.length).toBeGreaterThan(10)
  const refused = named.map(({ page, line, command }) => ({ place: `${page}:${line}`, why: refusalOfPart(command) }))
  expect(refused.filter(({ why }) => why !== undefined)).toEqual([])
})
