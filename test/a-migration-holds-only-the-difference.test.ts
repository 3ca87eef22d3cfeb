import type { Migration } from '@pgpubsub/core'
import { z } from 'zod'
import { catalogue } from './support/catalogue.ts'
import { describe, expect, type TestClient, type TestDatabase, test } from './support/test.ts'

const ignore = () => {}

/** A program that declares these listeners. */
function program(database: TestDatabase, declare: (prisma: TestClient) => void = ignore, schema = 'pgpubsub') {
  const prisma = database.prisma({ schema })
  declare(prisma)
  return prisma
}

const missing = async (prisma: TestClient, migrations: readonly string[]): Promise<Migration> => {
  const found = await prisma.$pubsub.migration(migrations)
  expect(found).not.toBeNull()
  return found as Migration
}

/** The database is as `install()` would leave it. */
async function expectInPlace(prisma: TestClient): Promise<void> {
  expect(await prisma.$pubsub.check()).toEqual([])
  expect(await prisma.$pubsub.install()).toMatchObject({ created: [], replaced: [], dropped: [] })
}

/** What a migration creates and drops, in short. */
const statements = (sql: string) =>
  [
    ...sql.matchAll(
      /^(create or replace trigger|drop trigger if exists|-- listener|-- the engine) ("(?:[^"]|"")+")?/gm,
    ),
  ].map(([, verb, name]) => [verb?.replace(/ or replace| if exists/, ''), name].join(' '))

const everyKind = (prisma: TestClient) => {
  prisma.everyType.onPostChange(
    {
      name: 'filtered',
      when: {
        old: {
          mood: { not: 'Plain' },
          moods: { has: 'Sad' },
          char: 'x',
          bit: { in: ['10101'] },
          date: { gt: new Date('2026-01-01') },
        },
        new: {
          OR: [{ mood: 'Sad' }, { uuids: { isEmpty: true } }, { decimals: { has: '1.5' } }],
          string: { contains: 'new."int"' },
        },
      },
    },
    ignore,
  )
  prisma.everyType.onPostUpdate(
    { name: 'both', level: 'statement', columns: ['xml'], when: { new: { mood: 'Sad' } } },
    ignore,
  )
  prisma.media.onPostSave({ name: 'told to all', delivery: 'broadcast' }, ignore)
  prisma.$pubsub.channel('a "channel"\n', z.object({ id: z.number() })).on('messages', ignore)
  prisma.media.onPostSave(
    { name: `it's "media" \\ 🎫 -- $do$`, columns: ['title', 'status'], omit: { url: true } },
    ignore,
  )
  prisma.ticket.onPreDelete('ticket', ignore)
  prisma.measurement.onPostChange({ name: 'measurement', keysOnly: true }, ignore)
  prisma.tag.onPostSave({ name: 'tags', level: 'statement', columns: ['label'] }, ignore)
  prisma.reading.onTruncate('reading', ignore)
  prisma.reading.onPostUpdate({ name: 'sensors', keysOnly: true }, ignore)
  prisma.longName.onPreSave({ name: 'long', select: { value: true }, order: 'none', wake: 'never' }, ignore)
  const { id: _, ...fields } = everyField
  prisma.everyType.onPostUpdate({ name: 'every type', columns: Object.keys(fields) as ['string'] }, ignore)
}

const everyField = Object.fromEntries(
  [
    ...['id', 'string', 'varchar', 'char', 'uuid', 'inet', 'xml', 'bit', 'varbit', 'boolean', 'int', 'smallint', 'oid'],
    ...[
      'bigint',
      'float',
      'real',
      'decimal',
      'numeric',
      'money',
      'datetime',
      'timestamp6',
      'timestamptz',
      'date',
      'time',
    ],
    ...['timetz', 'json', 'jsonText', 'bytes', 'mood', 'strings', 'booleans', 'ints', 'bigints', 'floats', 'decimals'],
    ...['datetimes', 'timestamptzs', 'dates', 'times', 'jsons', 'bytesList', 'moods', 'uuids'],
  ].map((name) => [name, true]),
)

test('written without a database, the first is what install() does, and may be applied over it and over itself', async ({
  database,
}) => {
  const prisma = program(database, everyKind)
  // of two indexes that would do, the schema of a program does not tell the older one
  await database.sql(`create unique index on reading (value); drop index reading_sensor_key;
    create unique index reading_sensor_key on reading (sensor)`)
  const { sql, report } = await missing(prisma, [])
  expect(report).toMatchObject({ engine: { from: 0 }, replaced: [], dropped: [] })

  await prisma.$pubsub.install()
  const installed = await catalogue(database)
  await database.sql('drop schema pgpubsub cascade')
  await database.sql(sql)
  expect(await catalogue(database)).toEqual(installed)
  await database.sql(sql)
  expect(await catalogue(database)).toEqual(installed)
  await expectInPlace(prisma)
  expect(await prisma.$pubsub.migration([sql])).toBeNull()
  expect(await prisma.$pubsub.migration([sql, 'create table x ()'])).toBeNull()
})

test('what changed is replaced, what is new created, what is gone dropped, and nothing else is touched', async ({
  database,
}) => {
  const before = program(database, (prisma) => {
    prisma.media.onPostSave('kept', ignore)
    prisma.media.onPostSave('changed', ignore)
    prisma.tag.onPostDelete('gone', ignore)
    prisma.$pubsub.channel('changed', z.string()).on('messages', ignore)
    prisma.$pubsub.channel('gone', z.string()).on('messages gone', ignore)
  })
  const first = await missing(before, [])
  await database.sql(first.sql)
  await database.sql(`insert into media (url) values ('waits'); update pgpubsub.listener set paused = true`)
  const after = program(database, (prisma) => {
    prisma.media.onPostSave('kept', ignore)
    prisma.media.onPostChange({ name: 'changed', columns: ['title'] }, ignore)
    prisma.user.onPostInsert('new', ignore)
    prisma.$pubsub.channel('renamed', z.string()).on('messages', ignore)
  })

  const second = await missing(after, [first.sql])

  expect(second.report).toMatchObject({
    created: ['public.media: ~pgpubsub delete changed', 'public.user: ~pgpubsub insert new'],
    replaced: ['public.media: ~pgpubsub update changed'],
    dropped: ['public.tag: ~pgpubsub delete gone'],
  })
  expect(statements(second.sql)).toEqual([
    'drop trigger "~pgpubsub delete gone"',
    '-- listener "changed"',
    'create trigger "~pgpubsub update changed"',
    'create trigger "~pgpubsub delete changed"',
    '-- listener "new"',
    'create trigger "~pgpubsub insert new"',
    '-- listener "messages"',
  ])
  for (let time = 1; time <= 2; time++) {
    await database.sql(second.sql)
    expect(await after.$pubsub.check()).toEqual([])
  }
  expect(await database.sql('select name, paused, channel from pgpubsub.listener order by name')).toEqual([
    { name: 'changed', paused: true, channel: null },
    { name: 'kept', paused: true, channel: null },
    { name: 'messages', paused: true, channel: 'renamed' },
    { name: 'new', paused: false, channel: null },
  ])
  expect((await database.notifications()).map(({ listener }) => listener).sort()).toEqual(['changed', 'kept'])
  await expectInPlace(after)
  expect(await after.$pubsub.migration([first.sql, second.sql])).toBeNull()

  // as prisma migrate reset does it: the models' schema is dropped, ours stays, and all is applied again
  const { sql: last } = await missing(program(database), [first.sql, second.sql])
  for (const sql of [first.sql, second.sql, last]) await database.sql(sql)
  expect(await catalogue(database)).toMatchObject({ triggers: [], listeners: [] })
  expect(await program(database).$pubsub.migration([first.sql, second.sql, last])).toBeNull()
})

test('of two programs with schemas of their own, each sees its own migrations only', async ({ database }) => {
  const one = program(database, (prisma) => prisma.media.onPostSave('media', ignore))
  const other = program(database, (prisma) => prisma.media.onPostSave('media', ignore), 'other "engine"')
  const { sql: first } = await missing(one, [])
  const { sql: second, report } = await missing(other, [first])
  expect(report.engine.from).toBe(0)
  await database.sql(first + second)
  await expectInPlace(one)
  await expectInPlace(other)
  expect(await one.$pubsub.migration([first, second])).toBeNull()
  expect(await other.$pubsub.migration([first, second.replaceAll('\n', '\r\n')])).toBeNull()
})

test('over what install() has left it takes away what is not declared, and later ones an engine of that version add none', async ({
  database,
}) => {
  const before = program(database, (prisma) => prisma.tag.onPostChange('installed', ignore))
  await before.$pubsub.install()
  const prisma = program(database, (prisma) => prisma.media.onPostSave('media', ignore))
  const { sql } = await missing(prisma, [])
  await database.sql(sql)
  await expectInPlace(prisma)

  const engine = JSON.parse(/^-- pgpubsub manifest (.*)$/m.exec(sql)?.[1] ?? '').engine
  const older = sql.replace(`"engine":${engine}}`, `"engine":${engine - 1}}`)
  const { sql: update, report } = await missing(prisma, [older])
  expect(report).toEqual({ engine: { from: engine - 1, to: engine }, created: [], replaced: [], dropped: [] })
  expect(update.match(/insert into "pgpubsub".migration/g)).toHaveLength(1)
  await database.sql(update)
  await expectInPlace(prisma)
  const newer = sql.replace(`"engine":${engine}}`, `"engine":${engine + 1}}`)
  await expect(prisma.$pubsub.migration([newer])).rejects.toMatchObject({ code: 'PGPUBSUB_NEWER_ENGINE' })
})

describe('a migration of the models', () => {
  const watching = (prisma: TestClient) => {
    prisma.media.onPostSave({ name: 'titles', columns: ['title', 'scannedAt'] }, ignore)
    prisma.media.onPostSave({ name: 'urls', columns: ['url'] }, ignore)
    prisma.media.onPostInsert({ name: 'titled', when: { new: { title: { not: null } } } }, ignore)
    prisma.ticket.onPostChange('tickets', ignore)
  }

  test.for([
    ['drops', `ALTER TABLE "media" DROP COLUMN "title",\nADD COLUMN     "title" TEXT;`],
    ['retypes', `ALTER TABLE "public"."media" ALTER COLUMN "title" SET DATA TYPE VARCHAR(100);`],
  ] as const)(
    'that %s a column which a trigger names has that trigger out of its way',
    async ([, change], { database }) => {
      const prisma = program(database, watching)
      const { sql: first } = await missing(prisma, [])
      await database.sql(first)
      await expect(database.sql(change)).rejects.toThrow(/other objects depend on it|used in a trigger definition/)

      const { sql, releases, report } = await missing(prisma, [first, change])

      const replaced = ['public.media: ~pgpubsub update titles', 'public.media: ~pgpubsub insert titled']
      expect(report).toMatchObject({ created: [], replaced, dropped: [] })
      expect([...releases.keys()]).toEqual([1])
      const whole = `${releases.get(1)}\n${change}\n\n${sql}`
      for (let time = 1; time <= 2; time++) {
        await database.sql(whole)
        await database.sql(`update media set title = null`)
      }
      await expectInPlace(prisma)
      expect(await prisma.$pubsub.migration([first, whole])).toBeNull()
    },
  )

  test('that drops a table and makes it anew gets its triggers again; of one that stays away nothing is left', async ({
    database,
  }) => {
    const prisma = program(database, watching)
    const { sql: first } = await missing(prisma, [])
    await database.sql(first)
    const ticket = `"archive"."Ticket, it's 🎫"`
    const anew = `-- DropTable\nDROP TABLE ${ticket};\n\n-- CreateTable\nCREATE TABLE ${ticket} ("region" TEXT NOT NULL, "number" BIGINT NOT NULL, "The Note — «why»" TEXT, PRIMARY KEY ("region", "number"));`
    await database.sql(anew)

    const { sql: second, report } = await missing(prisma, [first, anew])
    expect(report.created).toHaveLength(3)
    await database.sql(second)
    await expectInPlace(prisma)

    await database.sql(`drop table ${ticket}`)
    const without = program(database, (prisma) => {
      prisma.media.onPostSave({ name: 'titles', columns: ['title', 'scannedAt'] }, ignore)
      prisma.media.onPostSave({ name: 'urls', columns: ['url'] }, ignore)
      prisma.media.onPostInsert({ name: 'titled', when: { new: { title: { not: null } } } }, ignore)
    })
    const { sql: third } = await missing(without, [first, anew, second, `drop table ${ticket};`])
    await database.sql(third)
    await expectInPlace(without)
    expect(await database.sql(`select proname from pg_proc where proname like '% tickets'`)).toEqual([])
  })

  test('that mentions our columns in passing is left alone', async ({ database }) => {
    const prisma = program(database, watching)
    const { sql: first } = await missing(prisma, [])
    const others = [
      '/*\n  Warnings:\n  - You are about to drop the column `title` on the `media` table.\n*/',
      'ALTER TABLE "tag" DROP COLUMN "title";',
      'ALTER TABLE "archive"."media" DROP COLUMN "title";',
      'ALTER TABLE "media" ALTER COLUMN "title" SET NOT NULL, DROP COLUMN "virus";',
    ]
    expect(await prisma.$pubsub.migration([first, ...others])).toBeNull()
  })
})
