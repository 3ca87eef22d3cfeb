import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { pubsub, pubsubAdapter, silentLogger } from '@pgpubsub/prisma-extension'
import { drain } from '@pgpubsub/prisma-extension/testing'
import { afterAll, beforeAll } from 'vitest'
import { schemaEngineEnvironment } from '../tools/schema-engine.mjs'
import { expect, type TestDatabase, test as testWithDatabase } from './support/test.ts'

/*
 * Two clients that Prisma generates, before and after a migration: changes are stored by the listeners of the one, and
 * handled by those of the other.
 */

const root = fileURLToPath(new URL('..', import.meta.url))
const shapes = join(root, 'test/fixtures/shapes')
const cli = createRequire(import.meta.url).resolve('prisma/build/index.js')
let folder: string

const prismaCli = async (...args: string[]): Promise<string> => {
  const env = { ...process.env, ...schemaEngineEnvironment(), PRISMA_HIDE_UPDATE_MESSAGE: '1' }
  return (await promisify(execFile)(process.execPath, [cli, ...args], { cwd: folder, env })).stdout
}

beforeAll(async () => {
  // inside the repository, so that the clients find their packages
  await mkdir(join(root, 'dist'), { recursive: true })
  folder = await mkdtemp(join(root, 'dist/shapes-'))
  await cp(shapes, folder, { recursive: true })
  await Promise.all(['before', 'after'].map((name) => prismaCli('generate', '--schema', `${name}.prisma`)))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

// biome-ignore lint/suspicious/noExplicitAny: the models are known only when the test runs
type Loose = any

/** The client of that side of the migration, as a program that has been deployed with it. */
async function client(database: TestDatabase, side: 'before' | 'after'): Promise<Loose> {
  const { PrismaClient } = await import(/* @vite-ignore */ pathToFileURL(join(folder, side, 'client.ts')).href)
  const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString: database.url }) }).$extends(
    pubsub({ connectionString: database.url, logger: silentLogger }),
  )
  database.closeLater(async () => {
    await prisma.$pubsub.close()
    await prisma.$disconnect()
  })
  return prisma
}

const test = testWithDatabase.extend<{ before: Loose; migrate: () => Promise<Loose> }>({
  before: async ({ database }, use) => {
    await database.sql(await readFile(join(shapes, 'before.sql'), 'utf8'))
    await use(await client(database, 'before'))
  },
  migrate: async ({ database }, use) => {
    await use(async () => {
      await database.sql(await readFile(join(shapes, 'migration.sql'), 'utf8'))
      return client(database, 'after')
    })
  },
})

/** Stores changes of the model as it was, by a listener that has no worker. */
async function store(prisma: Loose, model: string, ...rows: object[]): Promise<void> {
  prisma[model].onPostChange('kept', () => {})
  await prisma.$pubsub.install()
  await prisma[model].createMany({ data: rows })
}

/** What the listener of that name is given now. */
async function handled(prisma: Loose, model: string, options: object = {}): Promise<Loose[]> {
  const changes: Loose[] = []
  prisma[model].onPostChange({ name: 'kept', ...options }, (change: Loose) => void changes.push(change))
  await prisma.$pubsub.install()
  const { failures } = await drain(prisma, { failures: 'return' })
  expect(await prisma.$pubsub.deadLetters.list()).toHaveLength(failures.length)
  return changes
}

const newRows = (changes: Loose[]) => changes.map(({ new: row }) => row)

test('a column that was dropped is left out', async ({ before, migrate }) => {
  await store(before, 'dropped', { id: 1, kept: 'a', gone: 'b' })
  const [change] = await handled(await migrate(), 'dropped')
  expect(change).toMatchObject({ new: { id: 1, kept: 'a' }, changed: ['id', 'kept'] })
  expect(Object.keys(change.new)).toEqual(['id', 'kept'])
})

test('a column that was added is null, a list empty', async ({ before, migrate }) => {
  await store(before, 'added', { id: 1, kept: 'a' })
  const changes = await handled(await migrate(), 'added')
  expect(newRows(changes)).toEqual([{ id: 1, kept: 'a', extra: null, list: [] }])
})

test('a model and a field that were renamed in Prisma alone lose nothing', async ({ before, migrate, database }) => {
  await store(before, 'mapped', { id: 1, title: 'a' })
  const after = await migrate()
  const changes = await handled(after, 'mappedAnew', { upcast: () => expect.fail('nothing was stored otherwise') })
  expect(newRows(changes)).toEqual([{ id: 1, headline: 'a' }])
  expect(changes[0].changed).toEqual(['id', 'headline'])
  expect(await database.sql('select count(*)::int from pgpubsub.dead_letter')).toEqual([{ count: 0 }])
})

test('columns that were renamed in the database keep their values by upcast, to the last digit', async ({
  before,
  migrate,
}) => {
  const row = {
    id: 2n ** 60n + 1n,
    title: 'a',
    at: new Date('2026-01-31T12:00:00.123Z'),
    price: '12345678901234567890.10',
    counts: [2n ** 60n + 3n],
  }
  await store(before, 'renamed', row)
  await before.renamed.update({ where: { id: row.id }, data: { title: 'b' } })
  const after = await migrate()
  await after.$executeRaw`update "Renamed" set headline = 'c'`
  const versions: unknown[] = []
  const moved = ({ title, at, price, ...rest }: Loose) => ({ ...rest, headline: title, happened_at: at, cost: price })
  const changes = await handled(after, 'renamed', {
    upcast: (change: Loose, version: unknown) => {
      versions.push(version)
      // from the migration to the next install() the version is still the old one
      if (!('title' in change.new)) return change
      return { ...change, old: change.old && moved(change.old), new: moved(change.new) }
    },
  })
  const [first, second, third] = changes
  expect(first.new).toEqual({
    id: row.id,
    headline: 'a',
    happenedAt: row.at,
    cost: expect.anything(),
    counts: row.counts,
  })
  expect(first.new.cost.toFixed(2)).toBe(row.price)
  expect(second).toMatchObject({
    operation: 'update',
    old: { headline: 'a' },
    new: { headline: 'b' },
    changed: ['headline'],
  })
  expect(third).toMatchObject({ old: { headline: 'b' }, new: { headline: 'c', happenedAt: row.at } })
  expect(versions).toEqual(Array(3).fill(expect.stringMatching(/^[0-9a-f]{8}$/)))
  // what is stored by the present version is not for upcast
  await after.renamed.update({ where: { id: row.id }, data: { headline: 'd' } })
  await drain(after)
  expect(changes).toHaveLength(4)
  expect(versions).toHaveLength(3)
})

test('what fits the type that a column has now is read as that, what does not is a dead letter at once', async ({
  before,
  migrate,
  database,
}) => {
  await store(before, 'retyped', { id: 1, size: '12' }, { id: 2, size: 'large' }, { id: 3, size: '7' })
  const after = await migrate()
  expect(newRows(await handled(after, 'retyped'))).toEqual([
    { id: 1, size: 12 },
    { id: 3, size: 7 },
  ])
  const [letter] = await after.$pubsub.deadLetters.list()
  expect(letter).toMatchObject({ attempts: 1, new: { id: 2, size: 'large' } })
  expect(letter.error).toMatch(/PGPUBSUB_UNREADABLE_ROW|"size" of Retyped/)
  expect(await database.notifications()).toEqual([])
})

test('upcast reads what did not fit; a dead letter that is retried still has its version', async ({
  before,
  migrate,
}) => {
  await store(before, 'retyped', { id: 1, size: 'large' })
  const after = await migrate()
  let failing = true
  const versions = new Set<unknown>()
  const changes = await handled(after, 'retyped', {
    upcast: (change: Loose, version: unknown) => {
      versions.add(version)
      if (failing) throw new Error('not yet')
      return { ...change, new: { ...change.new, size: change.new.size === 'large' ? 100 : 1 } }
    },
  })
  expect(changes).toEqual([])
  const [letter] = await after.$pubsub.deadLetters.list()
  expect(letter.error).toMatch(/The upcast of listener "kept"/)
  failing = false
  await after.$pubsub.deadLetters.retry('all')
  await drain(after)
  expect(newRows(changes)).toEqual([{ id: 1, size: 100 }])
  expect([...versions]).toEqual([expect.stringMatching(/^[0-9a-f]{8}$/)])
})

test('a value that its enum does not have any more is a dead letter, the others are read', async ({
  before,
  migrate,
}) => {
  await store(before, 'colored', { id: 1, color: 'Green' }, { id: 2, color: 'Blue' }, { id: 3, color: 'Red' })
  const after = await migrate()
  expect(newRows(await handled(after, 'colored'))).toEqual([
    { id: 1, color: 'Green' },
    { id: 3, color: 'Red' },
  ])
  expect(await after.$pubsub.deadLetters.list()).toMatchObject([{ new: { id: 2, color: 'Blue' } }])
})

test('a column that is watched is not dropped or retyped before its listener lets go of it, and may be renamed', async ({
  before,
  database,
}) => {
  before.dropped.onPostUpdate({ name: 'watching', columns: ['gone'] }, () => {})
  await before.$pubsub.install()
  for (const change of ['drop column gone', 'alter column gone type int using 1']) {
    await expect(database.sql(`alter table "Dropped" ${change}`)).rejects.toThrow(/depend|trigger/)
  }
  await before.dropped.create({ data: { id: 1, kept: 'a', gone: 'b' } })
  await database.sql('alter table "Dropped" rename column gone to went')
  await database.sql(`update "Dropped" set went = 'c'`)
  expect(await database.notifications()).toMatchObject([{ new: { went: 'c' } }])
})

test('a table that was renamed keeps its triggers, and misses nothing', async ({ before, migrate, database }) => {
  await store(before, 'moved', { id: 1, name: 'a' })
  const after = await migrate()
  await database.sql(`insert into moved_to values (2, 'b')`)
  const changes = await handled(after, 'moved')
  await after.moved.create({ data: { id: 3, name: 'c' } })
  await drain(after)
  expect(newRows(changes).map(({ name }) => name)).toEqual(['a', 'b', 'c'])
})

test('what a model that is gone has stored stays, harms nobody, and the doctor tells of it', async ({
  before,
  migrate,
  database,
}) => {
  before.added.onPostChange('others', () => {})
  await store(before, 'removed', { id: 1, name: 'a' })
  const after = await migrate()
  after.added.onPostChange('others', () => {})
  await after.$pubsub.install()
  await after.added.create({ data: { id: 1, kept: 'a' } })
  expect(await drain(after)).toEqual({ processed: 1, failures: [] })
  expect(await database.notifications()).toMatchObject([{ listener: 'kept', new: { id: 1, name: 'a' } }])
  const findings = await after.$pubsub.doctor({ waitingSeconds: 1 })
  expect(findings.map(({ subject }: Loose) => subject).join()).toContain('kept')
})

test('install() renews the version when the shape changes, and nothing else: the queue is the same', async ({
  before,
  migrate,
  database,
}) => {
  const version = async () =>
    (await database.sql(`select definition ->> 'version' as version from pgpubsub.listener`))[0]?.version
  await store(before, 'dropped', { id: 1, kept: 'a', gone: 'b' })
  const first = await version()
  expect(await before.$pubsub.install()).toMatchObject({ created: [], replaced: [], dropped: [] })
  const after = await migrate()
  after.dropped.onPostChange('kept', () => {})
  const report = await after.$pubsub.install()
  expect([report.created, report.replaced.length, report.dropped]).toEqual([[], 3, []])
  await after.dropped.create({ data: { id: 2, kept: 'b' } })
  const second = await version()
  expect(second).not.toBe(first)
  expect(await database.notifications()).toMatchObject([
    { listener: 'kept', version: first },
    { listener: 'kept', version: second },
  ])
})
