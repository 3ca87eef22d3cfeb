import { z } from 'zod'
import { expect, test } from './support/test.ts'

const channelNames = /* sql */ `select name, channel, table_name from pgpubsub.listener order by name`

test('a listener keeps its messages when its options change, and gets none when it is removed', async ({
  database,
}) => {
  const first = database.core()
  first.channel('a', z.string()).on('one', () => {})
  await first.install()
  const second = database.core()
  const channel = second.channel('a', z.string())
  channel.on({ name: 'one', order: 'none', wake: 'never' }, () => {})
  expect(await second.doctor()).toContainEqual(
    expect.objectContaining({ code: 'listener-outdated', subject: 'listener one' }),
  )
  await second.install()
  expect(await database.sql(channelNames)).toEqual([{ name: 'one', channel: 'a', table_name: null }])
  expect(await database.sql(`select definition ->> 'wake' as wake from pgpubsub.listener`)).toEqual([{ wake: 'never' }])
  await channel.publish('kept')
  const third = database.core()
  await third.install()
  await channel.publish('lost')
  expect((await database.notifications()).map((row) => row.new)).toEqual(['kept'])
})

test('the doctor names listeners of channels that are not installed, and those that nobody declares', async ({
  database,
}) => {
  const first = database.core()
  first.channel('a', z.string()).on('one', () => {})
  await first.install()
  const codes = async (core: ReturnType<typeof database.core>) =>
    (await core.doctor())
      .filter(({ code }) => /^(?:listener|trigger)-/.test(code))
      .map(({ code, subject }) => [code, subject])
  expect(await codes(first)).toEqual([])
  // by the engine's own list
  expect(await codes(database.core())).toEqual([])
  const second = database.core()
  second.channel('a', z.string()).on('two', () => {})
  expect(await codes(second)).toEqual([
    ['listener-missing', 'listener two'],
    ['listener-orphaned', 'listener one'],
  ])
  await second.install()
  expect(await codes(second)).toEqual([])
})

test('status tells of listeners on channels, and pause holds their messages', async ({ database }) => {
  const core = database.core()
  const channel = core.channel('a', z.string())
  channel.on('one', () => {})
  await core.install()
  await core.pause('one')
  await channel.publish('x')
  expect(await core.status()).toMatchObject([{ listener: 'one', paused: true, ready: 1 }])
})

test('sql() installs them too, over itself', async ({ database }) => {
  const core = database.core()
  core.channel("it's; a 🎫", z.string()).on('one', () => {})
  const sql = await core.sql()
  await database.sql(sql)
  await database.sql(sql)
  const { engine, ...triggers } = await core.install()
  expect(engine.from).toBe(engine.to)
  expect(triggers).toEqual({ created: [], replaced: [], dropped: [] })
  expect(await database.sql(channelNames)).toEqual([{ name: 'one', channel: "it's; a 🎫", table_name: null }])
})
