import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test as base, expect } from 'vitest'
import {
  migrationsFolder,
  readMigrations,
  writeMigration,
} from '../packages/prisma-extension/src/cli/migrations-folder.ts'

const nodeModules = fileURLToPath(new URL('../node_modules', import.meta.url))

const test = base.extend<{ root: string }>({
  /** The folder of a project, with Prisma in it. */
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  root: async ({}, use) => {
    const root = await mkdtemp(join(tmpdir(), 'pgpubsub-folder-'))
    await symlink(nodeModules, join(root, 'node_modules'))
    await use(root)
    await rm(root, { recursive: true })
  },
})

const report = { engine: { from: 0, to: 1 }, created: [], replaced: [], dropped: [] }

test('the folder is the one of the Prisma config, else the one beside the schema, else prisma/migrations', async ({
  root,
}) => {
  const config = (text: string) => writeFile(join(root, 'prisma.config.ts'), `export default ${text}`)
  expect(await migrationsFolder(undefined, root)).toBe(join(root, 'prisma/migrations'))
  await config(`{ migrations: { path: './db/steps' } } satisfies object`)
  expect(await migrationsFolder(undefined, root)).toBe(join(root, 'db/steps'))
  await config(`{ schema: './models/schema.prisma' }`)
  expect(await migrationsFolder(undefined, root)).toBe(join(root, 'models/migrations'))
  await config(`{ schema: './models' }`)
  expect(await migrationsFolder(undefined, root)).toBe(join(root, 'models/migrations'))
  await writeFile(join(root, 'other.config.mjs'), `export default { migrations: { path: 'other' } }`)
  expect(await migrationsFolder('other.config.mjs', root)).toBe(join(root, 'other'))
  await config('{ schema: 5 }')
  await expect(migrationsFolder(undefined, root)).rejects.toThrow('cannot be read')
  await expect(migrationsFolder('nowhere.ts', root)).rejects.toThrow('nowhere.ts cannot be read')
})

test('a project without the Prisma command line has them in prisma/migrations', async ({ root }) => {
  await rm(join(root, 'node_modules'))
  expect(await migrationsFolder(undefined, root)).toBe(join(root, 'prisma/migrations'))
})

test('a migration comes behind the newest, also behind one of the same second or of a clock that is ahead', async ({
  root,
}) => {
  const folder = join(root, 'migrations')
  const write = async () =>
    writeMigration(folder, 'ours', await readMigrations(folder), { report, sql: 'select 1;\n', releases: new Map() })
  await write()
  await write()
  const names = (await readdir(folder)).sort()
  expect(names).toEqual([expect.stringMatching(/^20\d{12}_ours$/), expect.stringMatching(/^20\d{12}_ours$/)])
  await mkdir(join(folder, '29991231235959_later'))
  await writeFile(join(folder, '29991231235959_later', 'migration.sql'), 'select 2;')
  await writeFile(join(folder, 'migration_lock.toml'), 'provider = "postgresql"')
  await mkdir(join(folder, 'empty'))
  expect(await write()).toEqual([join(folder, '30000101000000_ours', 'migration.sql')])
  expect((await readMigrations(folder)).map(({ sql }) => sql)).toEqual([
    'select 1;\n',
    'select 1;\n',
    'select 2;',
    'select 1;\n',
  ])
})

test('what must be out of the way goes into the migration that needs it, and all of it where that is the newest', async ({
  root,
}) => {
  const file = (name: string) => join(root, name, 'migration.sql')
  for (const name of ['20260101000000_a', '20260101000001_b']) {
    await mkdir(join(root, name))
    await writeFile(file(name), `-- ${name}\n`)
  }
  const release = (index: number) => ({ report, sql: '-- all\n', releases: new Map([[index, '-- drop\n']]) })
  const [a, b] = await readMigrations(root)
  expect(await writeMigration(root, 'ours', [a!, b!], release(1))).toEqual([b!.file])
  expect(await readFile(b!.file, 'utf8')).toBe('-- drop\n\n-- 20260101000001_b\n\n-- all\n')

  const written = await writeMigration(root, 'ours', await readMigrations(root), release(0))
  expect(written).toEqual([a!.file, expect.stringMatching(/_ours\/migration\.sql$/)])
  expect(await readFile(a!.file, 'utf8')).toBe('-- drop\n\n-- 20260101000000_a\n')
})
