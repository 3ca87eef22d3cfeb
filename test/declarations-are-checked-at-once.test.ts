import { type ErrorCode, PubSubError } from '@pgpubsub/core'
import { pubsub } from '@pgpubsub/prisma-extension'
import { PrismaPg } from '@prisma/adapter-pg'
import { PrismaClient } from '../prisma/generated/client.ts'
import { describe, expect, test, vi } from './support/test.ts'

/** A client that never connects: what is wrong is said when it is declared. */
function client(options: object = {}) {
  const connectionString = 'postgresql://nobody@localhost:1/nowhere'
  const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString }) })
  return prisma.$extends(pubsub({ connectionString, ...options }))
}

// biome-ignore lint/suspicious/noExplicitAny: what types forbid is what is tried here
type Wrong = any

function expectError(code: ErrorCode, message: RegExp, declare: () => unknown): void {
  let thrown: unknown
  try {
    declare()
  } catch (error) {
    thrown = error
  }
  expect(thrown).toBeInstanceOf(PubSubError)
  expect(thrown).toMatchObject({ code, name: 'PubSubError', message: expect.stringMatching(message) })
}

const handler = () => {}

describe('names', () => {
  test('are unique over all models, and the error says where the name is taken', () => {
    const prisma = client()
    prisma.media.onPostSave('scan', handler)
    const taken = /"scan" is already declared on public\.media\. .* public\.user another/
    expectError('PGPUBSUB_DUPLICATE_LISTENER', taken, () => prisma.user.onPostDelete('scan', handler))
  })

  test('of two clients are their own', () => {
    client().media.onPostSave('scan', handler)
    client().media.onPostSave('scan', handler)
  })

  test('are asked for where the handler has none', () => {
    const prisma = client() as Wrong
    for (const options of [{}, { name: '' }, { name: ' ' }, { name: 7 }, undefined]) {
      expectError('PGPUBSUB_INVALID_OPTION', /needs a name/, () => prisma.media.onPostSave(options, () => {}))
    }
    expectError('PGPUBSUB_INVALID_OPTION', /needs a name/, () => prisma.media.onPostSave('', handler))
  })

  test('may come from a named function', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostSave({}, async function scanMedia() {})
    await prisma.$pubsub.install()
    expect(await database.sql('select name from pgpubsub.listener')).toEqual([{ name: 'scanMedia' }])
  })

  test('have at most 63 bytes, and no NUL', () => {
    const prisma = client()
    prisma.media.onPostSave('x'.repeat(63), handler)
    const tooLong = /has 64 bytes; at most 63/
    expectError('PGPUBSUB_INVALID_OPTION', tooLong, () => prisma.media.onPostSave('é'.repeat(32), handler))
    expectError('PGPUBSUB_INVALID_OPTION', /NUL/, () => prisma.media.onPostSave('a\0b', handler))
  })
})

describe('options', () => {
  const wrong: [options: object, code: ErrorCode, message: RegExp][] = [
    [{ colums: ['title'] }, 'PGPUBSUB_INVALID_OPTION', /onPostSave on Media .* unknown option "colums".* columns/],
    [{ columns: ['titel'] }, 'PGPUBSUB_UNKNOWN_COLUMN', /columns of listener "a" on Media names "titel".* title/],
    [{ columns: ['owner_id'] }, 'PGPUBSUB_UNKNOWN_COLUMN', /"owner_id", which is not a scalar field of Media/],
    [{ columns: ['owner'] }, 'PGPUBSUB_UNKNOWN_COLUMN', /"owner", which is not a scalar field/],
    [{ columns: ['tags'] }, 'PGPUBSUB_UNKNOWN_COLUMN', /"tags", which is not a scalar field/],
    [{ columns: ['constructor'] }, 'PGPUBSUB_UNKNOWN_COLUMN', /"constructor", which is not/],
    [{ columns: [] }, 'PGPUBSUB_INVALID_OPTION', /at least one field/],
    [{ columns: 'title' }, 'PGPUBSUB_INVALID_OPTION', /columns of listener "a" on Media must be a list/],
    [{ columns: null }, 'PGPUBSUB_INVALID_OPTION', /columns of listener "a" on Media must be a list/],
    [{ columns: ['title', 7] }, 'PGPUBSUB_UNKNOWN_COLUMN', /"7"/],
    [{ omit: { title: true, nope: true } }, 'PGPUBSUB_UNKNOWN_COLUMN', /omit of listener "a" on Media names "nope"/],
    [{ omit: { nope: false } }, 'PGPUBSUB_UNKNOWN_COLUMN', /names "nope"/],
    [{ select: { owner: true } }, 'PGPUBSUB_UNKNOWN_COLUMN', /select of listener "a" on Media names "owner"/],
    [{ select: { id: false } }, 'PGPUBSUB_INVALID_OPTION', /select of listener "a" on Media .* at least one field/],
    [{ select: ['id'] }, 'PGPUBSUB_INVALID_OPTION', /must be an object like \{ title: true \}/],
    [{ omit: 'title' }, 'PGPUBSUB_INVALID_OPTION', /must be an object like/],
    [
      { omit: { title: 'yes' } },
      'PGPUBSUB_INVALID_OPTION',
      /title in omit of listener "a" on Media must be true or false/,
    ],
    [{ omit: { title: true }, select: { id: true } }, 'PGPUBSUB_INVALID_OPTION', /has omit and select/],
    [{ keysOnly: true, omit: { title: true } }, 'PGPUBSUB_INVALID_OPTION', /has omit and keysOnly/],
    [
      { keysOnly: 'yes' },
      'PGPUBSUB_INVALID_OPTION',
      /keysOnly of listener "a" on Media must be true or false; it is "yes"/,
    ],
    [{ when: 'x' }, 'PGPUBSUB_INVALID_OPTION', /when of listener "a" on Media takes its options as an object/],
    [{ when: {} }, 'PGPUBSUB_INVALID_OPTION', /when .* must filter the new row, the old row, or both/],
    [{ when: { now: {} } }, 'PGPUBSUB_INVALID_OPTION', /unknown option "now"/],
    [{ when: { new: ['x'] } }, 'PGPUBSUB_INVALID_OPTION', /when\.new of listener "a" on Media must be an object/],
    [{ when: { new: { titel: 'x' } } }, 'PGPUBSUB_UNKNOWN_COLUMN', /when\.new of listener "a" on Media names "titel"/],
    [
      { when: { old: { owner: { id: 1 } } } },
      'PGPUBSUB_UNKNOWN_COLUMN',
      /when\.old .* "owner", which is not a scalar field/,
    ],
    [{ when: { new: { title: 7 } } }, 'PGPUBSUB_INVALID_OPTION', /"title" in when\.new .* must be a text .*; it is 7/],
    [
      { when: { new: { title: { like: 'x' } } } },
      'PGPUBSUB_INVALID_OPTION',
      /unknown word "like"\. There are equals, not/,
    ],
    [
      { when: { new: { title: { in: 'x' } } } },
      'PGPUBSUB_INVALID_OPTION',
      /in of "title" .* must be a list; it is "x"/,
    ],
    [{ when: { new: { title: { in: [null] } } } }, 'PGPUBSUB_INVALID_OPTION', /in of "title" .* it is null/],
    [{ when: { new: { title: { lt: null } } } }, 'PGPUBSUB_INVALID_OPTION', /lt of "title" .* it is null/],
    [{ when: { new: { title: 'a\0' } } }, 'PGPUBSUB_INVALID_OPTION', /a text without NUL/],
    [{ when: { new: { title: { endsWith: 'a\\' } } } }, 'PGPUBSUB_INVALID_OPTION', /endsWith .* ends with a backslash/],
    [{ when: { new: { title: { mode: 'loose' } } } }, 'PGPUBSUB_INVALID_OPTION', /mode of "title" .* 'insensitive'/],
    [{ when: { new: { title: { not: { not: 'x' } } } } }, 'PGPUBSUB_INVALID_OPTION', /has a not in it/],
    [{ when: { new: { id: { equals: 1, mode: 'insensitive' } } } }, 'PGPUBSUB_INVALID_OPTION', /"id" .* takes no mode/],
    [{ when: { new: { id: { contains: '1' } } } }, 'PGPUBSUB_INVALID_OPTION', /unknown word "contains"/],
    [{ when: { new: { id: 1.5 } } }, 'PGPUBSUB_INVALID_OPTION', /"id" .* must be a whole number .* it is 1\.5/],
    [{ when: { new: { id: 1n } } }, 'PGPUBSUB_INVALID_OPTION', /"id" .* must be a whole number/],
    [
      { when: { new: { createdAt: '2020-01-01' } } },
      'PGPUBSUB_INVALID_OPTION',
      /must be a Date, or its text in ISO 8601/,
    ],
    [{ when: { new: { createdAt: new Date(Number.NaN) } } }, 'PGPUBSUB_INVALID_OPTION', /must be a Date/],
    [
      { when: { new: { status: 'scanned clean' } } },
      'PGPUBSUB_INVALID_OPTION',
      /one of 'Pending', 'Clean', 'Infected'/,
    ],
    [{ when: { new: { OR: [] } } }, 'PGPUBSUB_INVALID_OPTION', /OR in when\.new .* has no condition/],
    [{ when: { new: { OR: { id: 1 } } } }, 'PGPUBSUB_INVALID_OPTION', /OR in when\.new .* must be a list/],
    [{ when: { new: { AND: null } } }, 'PGPUBSUB_INVALID_OPTION', /must be an object/],
    [{ attempts: 0 }, 'PGPUBSUB_INVALID_OPTION', /attempts of listener "a" must be a whole number above 0; it is 0/],
    [{ attempts: 1.5 }, 'PGPUBSUB_INVALID_OPTION', /attempts/],
    [{ attempts: '3' }, 'PGPUBSUB_INVALID_OPTION', /attempts .* it is "3"/],
    [{ batchSize: -1 }, 'PGPUBSUB_INVALID_OPTION', /batchSize/],
    [{ concurrency: Number.NaN }, 'PGPUBSUB_INVALID_OPTION', /concurrency/],
    [{ concurrency: Number.POSITIVE_INFINITY }, 'PGPUBSUB_INVALID_OPTION', /concurrency/],
    [{ backoff: 1000 }, 'PGPUBSUB_INVALID_OPTION', /backoff of listener "a" must be settings .* it is 1000/],
    [{ backoff: { first: 1 } }, 'PGPUBSUB_INVALID_OPTION', /backoff of listener "a" .* unknown option "first"/],
    [{ timeoutMs: 0 }, 'PGPUBSUB_INVALID_OPTION', /timeoutMs of listener "a" must be a whole number above 0; it is 0/],
    [{ order: 'rows' }, 'PGPUBSUB_INVALID_OPTION', /order .* must be one of 'row', 'none'; it is "rows"/],
    [{ wake: true }, 'PGPUBSUB_INVALID_OPTION', /wake .* must be one of 'idle', 'always', 'never'; it is true/],
  ]

  test.for(wrong)('%o are refused', ([options, code, message]) => {
    const prisma = client() as Wrong
    expectError(code, message, () => prisma.media.onPostSave({ name: 'a', ...options }, handler))
    prisma.media.onPostSave({ name: 'a' }, handler) // what was refused has not taken the name
  })

  test.for(wrong)('%o are refused to a decorator too, before any instance', ([options, code, message]) => {
    const prisma = client() as Wrong
    expectError(code, message, () => prisma.media.onPostSave({ name: 'a', ...options }))
  })

  test('that are undefined are not given', () => {
    const none = { columns: undefined, omit: undefined, select: undefined, keysOnly: undefined, attempts: undefined }
    const prisma = client() as Wrong
    prisma.media.onPostSave({ name: 'a', ...none, order: undefined, wake: undefined, backoff: undefined }, handler)
    prisma.media.onPostSave({ name: 'b', omit: { title: false }, select: { id: true }, keysOnly: false }, handler)
  })

  test('are an object or a name, and nothing else', () => {
    const prisma = client() as Wrong
    for (const options of [7, null, ['a'], handler]) {
      expectError('PGPUBSUB_INVALID_OPTION', /name|option/, () => prisma.media.onPostSave(options, handler))
    }
  })

  test('that filter a row are refused where no change has it', () => {
    const prisma = client() as Wrong
    for (const [method, row] of [
      ['onPostInsert', 'old'],
      ['onPreInsert', 'old'],
      ['onPostDelete', 'new'],
      ['onPreDelete', 'new'],
      ['onTruncate', 'new'],
    ]) {
      expectError('PGPUBSUB_INVALID_OPTION', new RegExp(`when .* filters the ${row} row, and none`), () =>
        prisma.media[method as string]({ name: 'a', when: { [row as string]: { id: 1 } } }, handler),
      )
    }
  })

  test('that watch columns are refused where nothing is updated', () => {
    const prisma = client() as Wrong
    const pointless = /columns .* never sees an update/
    for (const method of ['onPostInsert', 'onPostDelete', 'onPreInsert', 'onPreDelete', 'onTruncate']) {
      expectError('PGPUBSUB_INVALID_OPTION', pointless, () =>
        prisma.media[method]({ name: 'a', columns: ['title'] }, handler),
      )
    }
  })
})

test('a handler is a function', () => {
  const prisma = client() as Wrong
  for (const wrong of [null, {}, 'scan']) {
    expectError('PGPUBSUB_INVALID_OPTION', /handler of listener "a" must be a function/, () =>
      prisma.media.onPostSave('a', wrong),
    )
  }
})

describe('pubsub()', () => {
  const connectionString = 'postgresql://localhost/x'
  const wrong: [options: unknown, message: RegExp][] = [
    [{}, /either \{ connectionString/],
    [undefined, /either \{ connectionString/],
    [{ connectionString: '' }, /either \{ connectionString/],
    [{ connectionString, pool: {} }, /either .* not both/],
    [{ connectionString, schema: '' }, /schema must be the name of a PostgreSQL schema/],
    [{ connectionString, schema: 'x'.repeat(64) }, /1 to 63 bytes/],
    [{ connectionString, pollIntervalMs: 0 }, /pollIntervalMs/],
    [{ connectionString, conectionString: 'x' }, /unknown option "conectionString"/],
    [{ connectionString, defaults: { attemps: 3 } }, /unknown option "attemps"/],
    [{ connectionString, defaults: { attempts: 0 } }, /attempts of the defaults must be a whole number above 0/],
  ]

  test.for(wrong)('refuses %o', ([options, message]) => {
    expectError('PGPUBSUB_INVALID_OPTION', message, () => pubsub(options as Wrong))
  })
})

test('defaults hold for every listener that does not say otherwise', async ({ database }) => {
  const prisma = database.prisma({ defaults: { attempts: 1, wake: 'always', order: 'none' } })
  const deaths: string[] = []
  prisma.$pubsub.on('failed', ({ listener, dead }) => dead && deaths.push(listener))
  const fail = () => {
    throw new Error('no')
  }
  prisma.media.onPostInsert('by-default', fail)
  prisma.media.onPostInsert({ name: 'by-itself', attempts: 2, wake: 'idle', backoff: () => 0 }, fail)
  prisma.media.onPostInsert({ name: 'undefined', attempts: undefined } as Wrong, fail)
  await prisma.$pubsub.install()
  const stored = await database.sql(`select name, definition->>'wake' wake, definition->>'order' "order"
    from pgpubsub.listener order by name`)
  expect(stored).toEqual([
    { name: 'by-default', wake: 'always', order: 'none' },
    { name: 'by-itself', wake: 'idle', order: 'none' },
    { name: 'undefined', wake: 'always', order: 'none' },
  ])

  await prisma.$pubsub.listen()
  await prisma.media.create({ data: { url: 'x' } })
  await database.drained()
  await vi.waitFor(() => expect(deaths.sort()).toEqual(['by-default', 'by-itself', 'undefined']))
  expect(await database.sql('select listener, attempts from pgpubsub.dead_letter order by listener')).toEqual([
    { listener: 'by-default', attempts: 1 },
    { listener: 'by-itself', attempts: 2 },
    { listener: 'undefined', attempts: 1 },
  ])
})
