import { z } from 'zod'
import { clientOfNewRole } from './support/new-role.ts'
import { expect, test } from './support/test.ts'

test('a role may publish when it was granted that, reads nothing by it, and may not otherwise', async ({
  database,
}) => {
  const core = database.core()
  core.channel('a', z.any()).on('one', () => {})
  await core.install()
  const { client, role } = await clientOfNewRole(database, ['usage on schema pgpubsub'])
  const publish = `select pgpubsub.publish('a', '{"x": "it''s"}')`
  const denied = { code: '42501' }
  await expect(client.query(publish)).rejects.toMatchObject(denied)
  await database.sql(`grant execute on function pgpubsub.publish to ${role}`)
  // nothing that the caller puts in the way is called
  await client.query(
    `create function pg_temp.hashtextextended(text, bigint) returns bigint language sql as 'select 1/0'`,
  )
  await client.query(`set search_path = pg_temp, pg_catalog`)
  await client.query(publish)
  await client.query(`select pgpubsub.publish('a', null, 'key', '[1]')`)
  await client.query(`select pgpubsub.publish('nobody', '1')`)
  // who may not mute does not
  await client.query(
    `begin; set local pgpubsub.notification_context = 'muted'; select pgpubsub.publish('a', '3'); commit`,
  )
  for (const table of ['notification', 'listener', 'dead_letter']) {
    await expect(client.query(`select from pgpubsub.${table}`)).rejects.toMatchObject(denied)
  }
  const rows = (await database.notifications()).map((row) => [row.listener, row.new, row.context, row.key !== null])
  expect(rows).toEqual([
    ['one', { x: "it's" }, {}, false],
    ['one', null, { '$pgpubsub:text': '[1]' }, true],
    ['one', 3, { '$pgpubsub:text': 'muted' }, false],
  ])
})
