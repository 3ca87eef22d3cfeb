import pg from 'pg'
import { describe, expect, inject, type TestClient, type TestDatabase, test, vi } from './support/test.ts'

const ignore = () => {}

/** Listeners to every change of the media library; nobody consumes, so that what is stored can be looked at. */
async function captured(database: TestDatabase): Promise<TestClient> {
  const prisma = database.prisma()
  prisma.user.onPostChange('user', ignore)
  prisma.media.onPostChange('media', ignore)
  prisma.tag.onPostChange('tag', ignore)
  await prisma.$pubsub.install()
  return prisma
}

/** What is stored, in order, as `operation table: title or name, before → after`; and forgotten, for the next look. */
async function changes(database: TestDatabase): Promise<string[]> {
  const rows = await database.sql(
    `with gone as (delete from pgpubsub.notification returning *) select * from gone order by id`,
  )
  const text = (row: Record<string, unknown> | null) => row && (row.title ?? row.label ?? row.email)
  return rows.map((row) => `${row.operation} ${row.listener}: ${text(row.old)} → ${text(row.new)}`)
}

describe('writes of every kind through Prisma', () => {
  test('an insert has no old row, a delete no new one, an update has both', async ({ database }) => {
    const prisma = await captured(database)

    const { id } = await prisma.media.create({ data: { url: 'file:///a', title: 'first' } })
    await prisma.media.update({ where: { id }, data: { title: 'second' } })
    await prisma.media.delete({ where: { id } })

    const stored = await database.notifications()
    expect(stored).toMatchObject([
      { operation: 'insert', old: null, new: { id, url: 'file:///a', title: 'first', owner_id: null }, context: {} },
      { operation: 'update', old: { id, title: 'first' }, new: { id, title: 'second', url: 'file:///a' } },
      { operation: 'delete', old: { id, title: 'second' }, new: null },
    ])
  })

  test('createMany and createManyAndReturn store one change for each row, in order', async ({ database }) => {
    const prisma = await captured(database)
    const titles = Array.from({ length: 200 }, (_, index) => `title ${index}`)
    const data = titles.map((title) => ({ url: 'file:///a', title }))

    await prisma.media.createMany({ data })
    expect(await changes(database)).toEqual(titles.map((title) => `insert media: null → ${title}`))

    await prisma.media.createManyAndReturn({ data: data.slice(0, 3) })
    expect(await changes(database)).toEqual(titles.slice(0, 3).map((title) => `insert media: null → ${title}`))
  })

  test('createMany with skipDuplicates stores only what was inserted', async ({ database }) => {
    const prisma = await captured(database)
    await prisma.user.createMany({ data: [{ email: 'a@x' }, { email: 'b@x' }] })
    await changes(database)

    await prisma.user.createMany({ data: [{ email: 'b@x' }, { email: 'c@x' }], skipDuplicates: true })

    expect(await changes(database)).toEqual(['insert user: null → c@x'])
  })

  test('updateMany, updateManyAndReturn and deleteMany store one change for each row', async ({ database }) => {
    const prisma = await captured(database)
    await prisma.media.createMany({ data: [1, 2, 3].map((index) => ({ url: 'file:///a', title: `${index}` })) })
    await changes(database)

    await prisma.media.updateMany({ where: { title: { not: '2' } }, data: { title: 'renamed' } })
    expect((await changes(database)).sort()).toEqual(['update media: 1 → renamed', 'update media: 3 → renamed'])

    await prisma.media.updateManyAndReturn({ where: { title: '2' }, data: { title: 'two' } })
    expect(await changes(database)).toEqual(['update media: 2 → two'])

    await prisma.media.deleteMany()
    expect((await changes(database)).sort()).toEqual([
      'delete media: renamed → null',
      'delete media: renamed → null',
      'delete media: two → null',
    ])
  })

  test('upsert stores an insert or an update, whichever it was', async ({ database }) => {
    const prisma = await captured(database)
    const native = { where: { email: 'a@x' }, create: { email: 'a@x' } }
    const twoSteps = { where: { email: 'b@x', name: null }, create: { email: 'b@x' } }

    await prisma.user.upsert({ ...native, update: { email: 'never' } })
    await prisma.user.upsert({ ...native, update: { email: 'a@y' } })
    await prisma.user.upsert({ ...twoSteps, update: { email: 'never' } })
    await prisma.user.upsert({ ...twoSteps, update: { email: 'b@y' } })

    expect(await changes(database)).toEqual([
      'insert user: null → a@x',
      'update user: a@x → a@y',
      'insert user: null → b@x',
      'update user: b@x → b@y',
    ])
  })

  test('nested writes are stored, each for its own model', async ({ database }) => {
    const prisma = await captured(database)

    const user = await prisma.user.create({
      data: {
        email: 'a@x',
        media: {
          create: [
            { url: 'file:///a', title: 'with tags', tags: { create: [{ label: 'red' }, { label: 'blue' }] } },
            { url: 'file:///b', title: 'without' },
          ],
        },
      },
      include: { media: true },
    })
    expect((await changes(database)).sort()).toEqual([
      'insert media: null → with tags',
      'insert media: null → without',
      'insert tag: null → blue',
      'insert tag: null → red',
      'insert user: null → a@x',
    ])

    const idOf = (title: string) => user.media.find((media) => media.title === title)?.id as number
    await prisma.user.update({
      where: { id: user.id },
      data: {
        email: 'a@y',
        media: {
          update: { where: { id: idOf('with tags') }, data: { tags: { deleteMany: { label: 'red' } } } },
          delete: { id: idOf('without') },
        },
      },
    })
    expect((await changes(database)).sort()).toEqual([
      'delete media: without → null',
      'delete tag: red → null',
      'update user: a@x → a@y',
    ])
  })

  test('both forms of $transaction store the changes of all their operations', async ({ database }) => {
    const prisma = await captured(database)
    const data = (title: string) => ({ data: { url: 'file:///a', title } })

    await prisma.$transaction([prisma.media.create(data('a')), prisma.media.create(data('b'))])
    await prisma.$transaction(async (tx) => {
      await tx.media.create(data('c'))
      await tx.media.updateMany(data('d'))
    })

    const stored = await changes(database)
    expect(stored.slice(0, 3)).toEqual(['a', 'b', 'c'].map((title) => `insert media: null → ${title}`))
    expect(stored.slice(3).sort()).toEqual(['a', 'b', 'c'].map((title) => `update media: ${title} → d`))
  })
})

describe('writes that Prisma does not know of', () => {
  test('raw SQL through Prisma is captured', async ({ database }) => {
    const prisma = await captured(database)

    await prisma.$executeRaw`insert into media (url, title) values ('file:///a', ${'raw'})`
    await prisma.$queryRaw`update media set title = 'returned' returning id`
    await prisma.$executeRawUnsafe(`delete from media`)

    expect(await changes(database)).toEqual([
      'insert media: null → raw',
      'update media: raw → returned',
      'delete media: returned → null',
    ])
  })

  test('the SQL of any other client is captured, whatever kind of statement it is', async ({ database }) => {
    await captured(database)
    const client = new pg.Client(database.url)
    await client.connect()
    database.closeLater(() => client.end())
    await client.query(`create function rename_all() returns void language sql
      as $$ update media set title = title || '!' $$`)
    const captures = async (statement: string) => {
      await client.query(statement)
      return changes(database)
    }

    expect(await captures(`insert into media (url, title) values ('', 'a'), ('', 'b')`)).toEqual([
      'insert media: null → a',
      'insert media: null → b',
    ])
    expect(
      await captures(`with gone as (delete from media where title = 'b' returning url)
      insert into media (url, title) select url, 'c' from gone`),
    ).toEqual(['delete media: b → null', 'insert media: null → c'])
    expect(await captures(`select rename_all()`)).toEqual(['update media: a → a!', 'update media: c → c!'])
    const merged = `(values ('a!'), ('d')) as wanted (title)`
    const merge =
      inject('postgresMajor') >= 15
        ? `merge into media m using ${merged} on m.title = wanted.title
        when matched then update set title = 'merged' when not matched then insert (url, title) values ('', wanted.title)`
        : `update media set title = 'merged' where title = 'a!'; insert into media (url, title) values ('', 'd')`
    expect(await captures(merge)).toEqual(['update media: a! → merged', 'insert media: null → d'])
    expect(await captures(`do $$ begin delete from media where title = 'd'; end $$`)).toEqual([
      'delete media: d → null',
    ])
  })

  test('ON CONFLICT DO UPDATE is an update, DO NOTHING is nothing', async ({ database }) => {
    await captured(database)
    const insert = `insert into "user" (email) values ('a@x'), ('b@x') on conflict (email)`

    await database.sql(`insert into "user" (email) values ('a@x')`)
    await database.sql(`${insert} do update set email = excluded.email || '!'`)
    expect(await changes(database)).toEqual([
      'insert user: null → a@x',
      'update user: a@x → a@x!',
      'insert user: null → b@x',
    ])

    await database.sql(`insert into "user" (email) values ('b@x') on conflict do nothing`)
    expect(await changes(database)).toEqual([])
  })

  test('rows that a cascade deletes or updates are captured', async ({ database }) => {
    await captured(database)
    await database.sql(`insert into "user" (id, email) values (1, 'a@x')`)
    await database.sql(
      `insert into media (id, url, title, owner_id) values (1, '', 'mine', 1), (2, '', 'nobody''s', null)`,
    )
    await database.sql(`insert into tag (label, media_id) values ('red', 1), ('blue', 2)`)
    await changes(database)

    await database.sql(`update "user" set id = 7`)
    const stored = await database.notifications()
    expect(stored.map(({ listener, old, new: now }) => [listener, old.owner_id, now.owner_id])).toEqual([
      ['user', undefined, undefined],
      ['media', 1, 7],
    ])
    await changes(database)

    await database.sql(`delete from "user"`)
    expect((await changes(database)).sort()).toEqual([
      'delete media: mine → null',
      'delete tag: red → null',
      'delete user: a@x → null',
    ])
  })
})

describe('the family of listeners', () => {
  test('each member fires at its own operations, and stores old and new as they were', async ({ database }) => {
    const prisma = database.prisma()
    prisma.reading.onPostSave('onPostSave', ignore)
    prisma.reading.onPostInsert('onPostInsert', ignore)
    prisma.reading.onPostUpdate('onPostUpdate', ignore)
    prisma.reading.onPostDelete('onPostDelete', ignore)
    prisma.reading.onPostChange('onPostChange', ignore)
    prisma.reading.onPreSave('onPreSave', ignore)
    prisma.reading.onPreInsert('onPreInsert', ignore)
    prisma.reading.onPreUpdate('onPreUpdate', ignore)
    prisma.reading.onPreDelete('onPreDelete', ignore)
    prisma.reading.onTruncate('onTruncate', ignore)
    await prisma.$pubsub.install()
    const firedBy = async (write: () => Promise<unknown>) => {
      await write()
      const stored = await database.sql(
        `with gone as (delete from pgpubsub.notification returning *)
         select operation, old ->> 'value' as old, new ->> 'value' as new, array_agg(listener order by listener) as listeners
         from gone group by 1, 2, 3`,
      )
      expect(stored).toHaveLength(1)
      return stored[0]
    }

    expect(await firedBy(() => prisma.reading.create({ data: { sensor: 'a', value: 1 } }))).toEqual({
      operation: 'insert',
      old: null,
      new: '1',
      listeners: ['onPostChange', 'onPostInsert', 'onPostSave', 'onPreInsert', 'onPreSave'],
    })
    expect(await firedBy(() => prisma.reading.update({ where: { sensor: 'a' }, data: { value: 2 } }))).toEqual({
      operation: 'update',
      old: '1',
      new: '2',
      listeners: ['onPostChange', 'onPostSave', 'onPostUpdate', 'onPreSave', 'onPreUpdate'],
    })
    expect(await firedBy(() => prisma.reading.delete({ where: { sensor: 'a' } }))).toEqual({
      operation: 'delete',
      old: '2',
      new: null,
      listeners: ['onPostChange', 'onPostDelete', 'onPreDelete'],
    })
    await prisma.reading.create({ data: { sensor: 'b', value: 1 } })
    await changes(database)
    expect(await firedBy(() => database.sql('truncate reading'))).toEqual({
      operation: 'truncate',
      old: null,
      new: null,
      listeners: ['onTruncate'],
    })
  })

  test('a truncate reaches its handler without rows, also where it came by a cascade, before it and after it', async ({
    database,
  }) => {
    const prisma = database.prisma()
    const handled = vi.fn()
    prisma.tag.onTruncate('tags', handled)
    const core = database.core()
    core.onChange({ name: 'before', table: 'tag', operations: ['truncate'], timing: 'before' }, ignore)
    prisma.tag.onPostDelete('rows', ignore)
    await core.install()
    await database.sql(`insert into media (id, url) values (1, '')`)
    await database.sql(`insert into tag (label, media_id) values ('red', 1)`)
    await database.sql(`truncate media cascade`)
    expect(await database.notifications()).toMatchObject([
      { listener: 'before', operation: 'truncate', old: null, new: null },
    ])
    expect(await database.sql('select from tag')).toEqual([])
    await database.sql('delete from pgpubsub.notification')

    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    await database.sql(`truncate media cascade`)
    await database.drained()

    expect(handled).toHaveBeenCalledOnce()
    expect(handled.mock.calls[0]?.[0]).toMatchObject({ operation: 'truncate', old: null, new: null, changed: [] })
  })

  test('changed names the fields that are different, by the names of the model, in a copy of the change too', async ({
    database,
  }) => {
    const prisma = database.prisma()
    const changed: [string, string[]][] = []
    prisma.media.onPostChange('media', (change) => {
      const copy = { ...change }
      changed.push([copy.operation, copy.changed.toSorted()])
      expect(copy.changed).toBe(change.changed)
    })
    await prisma.$pubsub.install()
    const { id: ownerId } = await prisma.user.create({ data: { email: 'a@x' } })
    const { id } = await prisma.media.create({ data: { url: 'file:///a' } })
    await prisma.media.update({ where: { id }, data: { ownerId, title: 'titled', url: 'file:///a' } })
    await prisma.media.update({ where: { id }, data: { title: null, scannedAt: new Date(0) } })
    await prisma.media.delete({ where: { id } })
    await prisma.$pubsub.listen()
    await database.drained()

    const everyField = ['createdAt', 'id', 'ownerId', 'scannedAt', 'status', 'title', 'url', 'virus']
    expect(changed).toEqual([
      ['insert', everyField],
      ['update', ['ownerId', 'title']],
      ['update', ['scannedAt', 'title']],
      ['delete', everyField],
    ])
  })

  test('createdAt is the time of the clock, not the start of the transaction', async ({ database }) => {
    await captured(database)
    const client = await database.pool.connect()
    try {
      await client.query('begin')
      await client.query(`insert into media (url) values ('1')`)
      await client.query('create temporary table between_writes on commit drop as select clock_timestamp() as time')
      await client.query(`insert into media (url) values ('2')`)
      const { rows } = await client.query(
        `select created_at > now() as after_begin, created_at < time as before_mark, created_at <= clock_timestamp() as past
         from pgpubsub.notification, between_writes order by id`,
      )
      expect(rows).toEqual([
        { after_begin: true, before_mark: true, past: true },
        { after_begin: true, before_mark: false, past: true },
      ])
      await client.query('commit')
    } finally {
      client.release()
    }
  })
})
