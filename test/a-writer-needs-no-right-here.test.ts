import { clientOfNewRole } from './support/new-role.ts'
import { expect, type TestDatabase, test } from './support/test.ts'

/** What a role needs that may write the tables of the models, and nothing else. */
const rightsOfWriter = [
  'usage on schema archive',
  `select, insert, update, delete, truncate on media, "user", measurement, archive."Ticket, it's 🎫"`,
  'usage on all sequences in schema public',
]

async function install(database: TestDatabase): Promise<void> {
  const prisma = database.prisma({ defaults: { wake: 'always' } })
  prisma.media.onPostChange({ name: 'media', omit: { virus: true } }, () => {})
  prisma.media.onPreSave('before', () => {})
  prisma.media.onTruncate('truncate', () => {})
  prisma.user.onPostDelete('user', () => {})
  prisma.measurement.onPostChange('measurement', () => {})
  prisma.ticket.onPostChange({ name: 'ticket', wake: 'idle' }, () => {})
  await prisma.$pubsub.install()
}

test('a role that may write the tables of the models, and nothing else, is captured', async ({ database }) => {
  await install(database)
  const { client } = await clientOfNewRole(database, rightsOfWriter)

  await client.query('begin')
  await client.query(`set local pgpubsub.notification_context = '{"role": "writer"}'`)
  await client.query(`insert into "user" (id, email) values (1, 'a@x')`)
  await client.query(`insert into media (url, owner_id) values ('a', 1)`)
  await client.query(`update media set title = 'b'`)
  await client.query(`delete from "user"`)
  await client.query(`insert into measurement (day, value) values ('2025-01-01', 1)`)
  await client.query(`insert into archive."Ticket, it's 🎫" values ('north', 1)`)
  await client.query('truncate media cascade').catch(() => client.query('rollback'))
  await client.query('commit')
  expect(await database.notifications()).toEqual([])

  await client.query(`insert into "user" (id, email) values (1, 'a@x')`)
  await client.query(`insert into media (url, owner_id) values ('a', 1)`)
  await client.query(`update media set title = 'b'`)
  await client.query(`delete from "user"`)
  await client.query(`begin; set local pgpubsub.notification_context = '{"role": "writer"}'`)
  await client.query(`insert into measurement (day, value) values ('2025-01-01', 1)`)
  await client.query('commit')
  await client.query(`insert into archive."Ticket, it's 🎫" values ('north', 1)`)

  const stored = (await database.notifications()).map((row) => [row.listener, row.operation, row.context])
  expect(stored).toEqual([
    ['before', 'insert', {}],
    ['media', 'insert', {}],
    ['before', 'update', {}],
    ['media', 'update', {}],
    ['user', 'delete', {}],
    ['media', 'delete', {}],
    ['measurement', 'insert', { role: 'writer' }],
    ['ticket', 'insert', {}],
  ])
})

test('it can read, write and call nothing of the engine', async ({ database }) => {
  await install(database)
  await database.sql(`insert into media (url) values ('a')`)
  const { client } = await clientOfNewRole(database, rightsOfWriter)
  const denied = { code: '42501' }
  const tables = (
    await database.sql(`select relname from pg_class
    where relnamespace = 'pgpubsub'::regnamespace and relkind = 'r'`)
  ).map((row) => row.relname)
  expect(tables).toEqual(expect.arrayContaining(['notification', 'dead_letter', 'listener', 'migration']))

  for (const table of tables) {
    for (const statement of [
      `select from pgpubsub.${table}`,
      `insert into pgpubsub.${table} default values`,
      `delete from pgpubsub.${table}`,
      `truncate pgpubsub.${table}`,
      `create trigger mine after insert on pgpubsub.${table} execute function suppress_redundant_updates_trigger()`,
    ]) {
      await expect(client.query(statement), statement).rejects.toMatchObject(denied)
    }
  }
  await expect(client.query(`update pgpubsub.notification set attempts = 0`)).rejects.toMatchObject(denied)
  await expect(client.query(`select nextval('pgpubsub.notification_id_seq')`)).rejects.toMatchObject(denied)
  for (const call of [
    '"insert media"()',
    `context_of('{}')`,
    `differing('{}', '{}')`,
    `asleep_key('media')`,
    `project('{}', '+{a}')`,
    `row_to_jsonb_by_column(row(1))`,
  ]) {
    await expect(client.query(`select pgpubsub.${call}`), call).rejects.toMatchObject(denied)
  }
  // a trigger on a table of one's own would be a way to forge notifications
  await client.query('create temporary table mine (id int)')
  await expect(
    client.query(`create trigger forged after insert on mine for each row execute function pgpubsub."insert media"()`),
  ).rejects.toMatchObject(denied)
})

test('even with the schema opened to everyone, tables and functions stay closed', async ({ database }) => {
  await install(database)
  await database.sql('grant usage on schema pgpubsub to public')
  const { client } = await clientOfNewRole(database, rightsOfWriter)
  const denied = { code: '42501' }

  await expect(client.query('select from pgpubsub.notification')).rejects.toMatchObject(denied)
  await expect(client.query(`select pgpubsub.context_of('{}')`)).rejects.toMatchObject(denied)
  await client.query('create temporary table mine (id int)')
  await expect(
    client.query(`create trigger forged after insert on mine for each row execute function pgpubsub."insert media"()`),
  ).rejects.toMatchObject(denied)
})

test('nothing of the engine is granted to public', async ({ database }) => {
  await install(database)
  const grants = await database.sql(`
    select c.relname as name, a.privilege_type from pg_class c, aclexplode(c.relacl) a
    where c.relnamespace = 'pgpubsub'::regnamespace and a.grantee <> c.relowner
    union all
    select p.proname, a.privilege_type from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
    where p.pronamespace = 'pgpubsub'::regnamespace and a.grantee <> p.proowner
    union all
    select n.nspname, a.privilege_type from pg_namespace n, aclexplode(n.nspacl) a
    where n.nspname = 'pgpubsub' and a.grantee <> n.nspowner`)
  expect(grants).toEqual([])
})
