import { newContexts, recordingClient } from './support/contexts.ts'
import { expect, test } from './support/test.ts'

const url = 'file:///a'

class Session {
  user = 7
}

const cyclic: Record<string, unknown> = {}
cyclic.self = cyclic

const invalid: Record<string, unknown> = {
  undefined: undefined,
  null: null,
  'a text': 'userId=7',
  'a number': 7,
  'a list': [{ userId: 7 }],
  'a Map': new Map([['userId', 7]]),
  'a Date': new Date(),
  'an object of a class': new Session(),
  'a function': () => ({ userId: 7 }),
  'a cycle': cyclic,
  'a bigint': { id: 7n },
  'a NUL character': { text: 'a\0b' },
  'a NUL character in a name': { 'a\0b': 1 },
  'half a surrogate pair': { text: '\ud83d' },
  'the other half': { deep: [{ text: 'a\ude00' }] },
  'a NUL character after a backslash': { text: '\\\0' },
}

const valid: Record<string, [given: object, stored: unknown]> = {
  nothing: [{}, {}],
  'undefined members': [{ a: undefined, b: 1 }, { b: 1 }],
  'a Date member': [{ at: new Date(0) }, { at: '1970-01-01T00:00:00.000Z' }],
  'what JSON has no word for': [
    { a: Number.NaN, b: [undefined] },
    { a: null, b: [null] },
  ],
  'no prototype': [Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  'an escaped NUL, which is none': [{ text: '\\u0000 \\ud800' }, { text: '\\u0000 \\ud800' }],
  'quotes and the like': [{ text: `'"\\ $1 $$ ; -- 😀 \n` }, { text: `'"\\ $1 $$ ; -- 😀 \n` }],
  'special names': [
    { __proto__x: 1, constructor: 2, '': 3 },
    { __proto__x: 1, constructor: 2, '': 3 },
  ],
}

test('what is no plain object of JSON values is refused before anything is written', async ({ database }) => {
  const prisma = database.prisma()
  const write = () => prisma.media.create({ data: { url } })
  const refused = { name: 'PubSubError', code: 'PGPUBSUB_INVALID_CONTEXT' }
  for (const [name, context] of Object.entries(invalid)) {
    await expect(prisma.$pubsub.withContext(context as never, write), name).rejects.toMatchObject(refused)
    expect(() => prisma.$pubsub.enterContext(context as never), name).toThrow(expect.objectContaining(refused))
  }
  expect(prisma.$pubsub.context()).toEqual({})
  expect(await prisma.media.count()).toBe(0)
})

test('what JSON can hold is stored as JSON holds it', async ({ database }) => {
  const prisma = await recordingClient(database)
  const stored = newContexts(database)
  for (const [name, [given, expected]] of Object.entries(valid)) {
    await prisma.$pubsub.withContext(given as never, async () => {
      await prisma.media.create({ data: { url } })
      await prisma.$executeRawUnsafe(`insert into media (url) values ('a;'); insert into media (url) values ('b;')`)
    })
    expect(await stored(), name).toEqual([expected, expected, expected])
  }
})

test('a huge context is stored whole', async ({ database }) => {
  const prisma = await recordingClient(database)
  const context = { text: 'ä😀'.repeat(500_000) }
  await prisma.$pubsub.withContext(context, () => prisma.media.create({ data: { url } }))
  const [stored] = await database.notifications()
  expect(stored.context.text === context.text).toBe(true)
})

test('changing the object afterwards changes nothing', async ({ database }) => {
  const prisma = await recordingClient(database)
  const stored = newContexts(database)
  const context = { user: 7 }
  await prisma.$pubsub.withContext(context, async () => {
    context.user = 8
    expect(prisma.$pubsub.context()).toEqual({ user: 7 })
    await prisma.media.create({ data: { url } })
  })
  expect(await stored()).toEqual([{ user: 7 }])
})
