import { expect, type TestDatabase, test, vi } from './support/test.ts'

const secret = 'correct horse battery staple'
const otherSecret = 'another horse battery staple'

/** Every column of every row of the engine, as one text. */
async function everythingStored(database: TestDatabase): Promise<string> {
  const tables = await database.sql(`select oid::regclass::text as name from pg_class
    where relnamespace = 'pgpubsub'::regnamespace and relkind in ('r', 'p')`)
  expect(tables.length).toBeGreaterThanOrEqual(4)
  const rows = await Promise.all(tables.map(({ name }) => database.sql(`select t::text as row from ${name} t`)))
  return rows
    .flat()
    .map(({ row }) => row)
    .join('\n')
}

test('omit, select and keysOnly keep a secret out of every table, and changed still names it', async ({ database }) => {
  const prisma = database.prisma()
  const seen: [string, unknown, unknown, string[]][] = []
  const see = (name: string) => (change: { old: unknown; new: unknown; changed: readonly string[] }) => {
    seen.push([name, change.old, change.new, [...change.changed].sort()])
  }
  prisma.user.onPostUpdate({ name: 'omit', omit: { passwordHash: true, createdAt: true } }, see('omit'))
  prisma.user.onPostUpdate({ name: 'select', select: { email: true, name: true } }, see('select'))
  prisma.user.onPostUpdate({ name: 'keysOnly', keysOnly: true }, see('keysOnly'))
  prisma.user.onPreUpdate({ name: 'before', omit: { passwordHash: true, createdAt: true } }, see('before'))
  prisma.user.onPostChange({ name: 'columns', columns: ['passwordHash'], omit: { passwordHash: true } }, () => {})
  await prisma.$pubsub.install()

  const { id } = await prisma.user.create({ data: { email: 'a@x', name: 'A', passwordHash: secret } })
  await prisma.user.update({ where: { id }, data: { passwordHash: otherSecret } })
  await prisma.user.update({ where: { id }, data: { passwordHash: null, email: 'b@x' } })
  await prisma.user.update({ where: { id }, data: { passwordHash: secret } })
  await prisma.user.delete({ where: { id } })

  expect(await database.notifications()).toHaveLength(17)
  const stored = await everythingStored(database)
  expect(stored).toContain('a@x')
  expect(stored).not.toContain(secret)
  expect(stored).not.toContain(otherSecret)

  await prisma.$pubsub.listen()
  await database.drained()
  const at = (name: string) => seen.filter(([listener]) => listener === name).map(([, ...change]) => change)
  const whole = (email: string) => ({ id, email, name: 'A' })
  const expected = (row: (email: string) => unknown) => [
    [row('a@x'), row('a@x'), ['passwordHash']],
    [row('a@x'), row('b@x'), ['email', 'passwordHash']],
    [row('b@x'), row('b@x'), ['passwordHash']],
  ]
  expect(at('omit')).toEqual(expected(whole))
  expect(at('before')).toEqual(expected(whole))
  expect(at('select')).toEqual(expected((email) => ({ email, name: 'A' })))
  expect(
    at('keysOnly').map(([old, now, changed]) => [(old as { id: number }).id, (now as { id: number }).id, changed]),
  ).toEqual(expected(() => id))
})

test('a secret stays out of the tables also when a handler fails, and when the notification is dead', async ({
  database,
}) => {
  const prisma = database.prisma({ defaults: { attempts: 2, backoff: () => 1 } })
  const failed = vi.fn()
  prisma.user.onPostInsert({ name: 'failing', omit: { passwordHash: true } }, (change) => {
    throw new Error(`cannot handle ${JSON.stringify(change.new)}`)
  })
  prisma.$pubsub.on('failed', failed)
  await prisma.$pubsub.install()
  await prisma.user.create({ data: { email: 'a@x', passwordHash: secret } })
  await prisma.$pubsub.listen()
  await vi.waitFor(() => expect(failed).toHaveBeenCalledTimes(2), { timeout: 10_000 })

  const stored = await everythingStored(database)
  expect(stored).toContain('a@x')
  expect(stored).not.toContain(secret)
})

test('a row whose key is omitted keeps its key and its order', async ({ database }) => {
  const prisma = database.prisma()
  prisma.ticket.onPostChange({ name: 'omitted', select: { note: true } }, () => {})
  prisma.ticket.onPostChange({ name: 'whole' }, () => {})
  await prisma.$pubsub.install()
  for (const number of [1n, 2n]) {
    await prisma.ticket.create({ data: { region: 'north', number, note: 'a' } })
    await prisma.ticket.update({ where: { region_number: { region: 'north', number } }, data: { note: 'b' } })
  }

  const keys = async (listener: string) =>
    (await database.notifications()).filter((row) => row.listener === listener).map((row) => row.key)
  expect(await keys('omitted')).toEqual(await keys('whole'))
  expect(new Set(await keys('omitted')).size).toBe(2)
})

test('a row of which nothing selected is left is still a row', async ({ database }) => {
  const prisma = database.prisma()
  const rows: unknown[] = []
  prisma.media.onPostSave({ name: 'virus', select: { virus: true } }, ({ new: media }) => void rows.push(media))
  await prisma.$pubsub.install()
  await database.sql('alter table media drop column virus')
  await database.sql(`insert into media (url) values ('a')`)

  await prisma.$pubsub.listen()
  await database.drained()

  expect(rows).toEqual([{ virus: null }])
})
