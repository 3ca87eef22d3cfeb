/* Types, checked by tsc: nothing in here runs. What must not compile stands under @ts-expect-error. */

import {
  type Broadcast,
  type DeadLetter,
  Discard,
  DoNotRetry,
  type ListenerStatus,
  type Message,
  type PostChange,
  type PostDelete,
  type PostInsert,
  type PostSave,
  type PostUpdate,
  pubsub,
  pubsubAdapter,
  type Replay,
  RetryAt,
  type Row,
  type Truncate,
} from '@pgpubsub/prisma-extension'
import { expectTypeOf, test } from 'vitest'
import { z } from 'zod'
import { type Media, type Mood, Prisma, PrismaClient, type User } from '../prisma/generated/client.ts'

const connectionString = 'postgresql://localhost/x'
const client = new PrismaClient({ adapter: pubsubAdapter({ connectionString }) })
const prisma = client.$extends(pubsub({ connectionString }))

test('a transactional handler is given a transaction client, and with batch a list', () => {
  type Transaction = Parameters<
    Parameters<typeof prisma.$transaction>[0] extends infer F
      ? F extends (tx: infer Tx) => unknown
        ? (tx: Tx) => void
        : never
      : never
  >[0]
  prisma.media.onPostInsert({ name: 'a', transactional: true }, async ({ new: media, tx }) => {
    expectTypeOf(media).toEqualTypeOf<Media>()
    expectTypeOf(await tx.user.findFirst()).toEqualTypeOf<User | null>()
    expectTypeOf(tx.$executeRaw).toBeFunction()
    expectTypeOf<keyof typeof tx>().toEqualTypeOf<keyof Transaction>()
    // @ts-expect-error a transaction does not end the client
    tx.$disconnect()
  })
  prisma.media.onPostInsert({ name: 'a', batch: { size: 10 } }, (changes) => {
    expectTypeOf(changes).toEqualTypeOf<readonly PostInsert<typeof prisma.media>[]>()
  })
  prisma.media.onPostInsert({ name: 'a', batch: { size: 10 }, transactional: true }, async ([change]) => {
    expectTypeOf(await change?.tx.media.count()).toEqualTypeOf<number | undefined>()
  })
  prisma.media.onPostInsert({ name: 'a', transactional: false, lease: { seconds: 5 } }, (change) => {
    expectTypeOf(change).toEqualTypeOf<PostInsert<typeof prisma.media>>()
    // @ts-expect-error there is none without transactional
    change.tx
  })
  prisma.media.onPostInsert('a', (change) => {
    // @ts-expect-error there is none without transactional
    change.tx
  })
})

test('the level is one of two, and a truncated table has none', () => {
  prisma.media.onPostSave({ name: 'a', level: 'statement' }, ({ new: media }) => {
    expectTypeOf(media).toEqualTypeOf<Media>()
  })
  // @ts-expect-error there is no such level
  prisma.media.onPostSave({ name: 'a', level: 'table' }, () => {})
  // @ts-expect-error it has no rows
  prisma.media.onTruncate({ name: 'a', level: 'statement' }, () => {})
})

test('old and new are null by the method, and by the operation', () => {
  prisma.media.onPostSave('a', (change) => {
    expectTypeOf(change.operation).toEqualTypeOf<'insert' | 'update'>()
    expectTypeOf(change.old).toEqualTypeOf<Media | null>()
    expectTypeOf(change.new).toEqualTypeOf<Media>()
    if (change.operation === 'insert') expectTypeOf(change.old).toEqualTypeOf<null>()
    else expectTypeOf(change.old).toEqualTypeOf<Media>()
    if (change.old) expectTypeOf(change.operation).toEqualTypeOf<'update'>()
  })
  prisma.media.onPostInsert('a', ({ operation, old, new: media }) => {
    expectTypeOf(operation).toEqualTypeOf<'insert'>()
    expectTypeOf(old).toEqualTypeOf<null>()
    expectTypeOf(media).toEqualTypeOf<Media>()
  })
  prisma.media.onPostUpdate('a', ({ operation, old, new: media }) => {
    expectTypeOf(operation).toEqualTypeOf<'update'>()
    expectTypeOf(old).toEqualTypeOf<Media>()
    expectTypeOf(media).toEqualTypeOf<Media>()
  })
  prisma.media.onPostDelete('a', ({ operation, old, new: media }) => {
    expectTypeOf(operation).toEqualTypeOf<'delete'>()
    expectTypeOf(old).toEqualTypeOf<Media>()
    expectTypeOf(media).toEqualTypeOf<null>()
  })
  prisma.media.onPostChange('a', (change) => {
    switch (change.operation) {
      case 'insert':
        return expectTypeOf(change).toEqualTypeOf<PostInsert<typeof prisma.media>>()
      case 'update':
        return expectTypeOf(change).toEqualTypeOf<PostUpdate<typeof prisma.media>>()
      case 'delete':
        return expectTypeOf(change).toEqualTypeOf<PostDelete<typeof prisma.media>>()
      default:
        return expectTypeOf(change).toEqualTypeOf<never>()
    }
  })
  prisma.media.onTruncate('a', (change) => {
    expectTypeOf(change).toEqualTypeOf<Truncate>()
    expectTypeOf(change.old).toEqualTypeOf<null>()
    expectTypeOf(change.new).toEqualTypeOf<null>()
  })
})

test('the methods that listen before the write give the same as those after it', () => {
  prisma.media.onPreSave('a', (change) => expectTypeOf(change).toEqualTypeOf<PostSave<typeof prisma.media>>())
  prisma.media.onPreInsert('a', (change) => expectTypeOf(change).toEqualTypeOf<PostInsert<typeof prisma.media>>())
  prisma.media.onPreUpdate('a', (change) => expectTypeOf(change).toEqualTypeOf<PostUpdate<typeof prisma.media>>())
  prisma.media.onPreDelete('a', (change) => expectTypeOf(change).toEqualTypeOf<PostDelete<typeof prisma.media>>())
})

test('filters know the fields of the model, their types and their words', () => {
  prisma.media.onPostSave(
    {
      name: 'a',
      when: {
        new: { status: 'Clean', title: { contains: 'x', mode: 'insensitive' } },
        old: { status: { not: 'Clean' } },
      },
    },
    ({ new: media }) => expectTypeOf(media).toEqualTypeOf<Media>(),
  )
  prisma.media.onPostChange(
    {
      name: 'a',
      when: { new: { OR: [{ id: { in: [1, 2] } }, { NOT: { ownerId: null } }], AND: { virus: { startsWith: 'x' } } } },
    },
    () => {},
  )
  prisma.everyType.onPostInsert(
    {
      name: 'a',
      when: {
        new: { bigint: 5n, decimal: new Prisma.Decimal(1), datetime: { lt: new Date() }, mood: { in: ['Happy'] } },
      },
    },
    () => {},
  )
  prisma.everyType.onPostDelete(
    {
      name: 'a',
      when: {
        old: { bytes: new Uint8Array(), strings: { hasSome: ['a'] }, json: { equals: { a: 1 } }, float: { gte: 1 } },
      },
    },
    () => {},
  )
  prisma.everyType.onPostUpdate(
    { name: 'a', columns: ['json'], when: { new: { json: { not: Prisma.DbNull } } } },
    () => {},
  )
  // @ts-expect-error there is no such field
  prisma.media.onPostSave({ name: 'a', when: { new: { titel: 'x' } } }, () => {})
  // @ts-expect-error there is no such field, beside one that is
  prisma.media.onPostSave({ name: 'a', when: { new: { title: 'x', titel: 'x' } } }, () => {})
  // @ts-expect-error there is no such field in a group
  prisma.media.onPostSave({ name: 'a', when: { new: { OR: [{ title: 'x', titel: 'x' }] } } }, () => {})
  // @ts-expect-error a relation is no column
  prisma.media.onPostSave({ name: 'a', when: { new: { owner: { email: 'x' } } } }, () => {})
  // @ts-expect-error a title is a text
  prisma.media.onPostSave({ name: 'a', when: { new: { title: 7 } } }, () => {})
  // @ts-expect-error a status is one of the enum's
  prisma.media.onPostSave({ name: 'a', when: { new: { status: 'scanned clean' } } }, () => {})
  // @ts-expect-error there is no such word
  prisma.media.onPostSave({ name: 'a', when: { new: { title: { like: 'x' } } } }, () => {})
  // @ts-expect-error there is no such word, beside one that is
  prisma.media.onPostSave({ name: 'a', when: { new: { title: { equals: 'x', like: 'x' } } } }, () => {})
  // @ts-expect-error a number contains nothing
  prisma.media.onPostSave({ name: 'a', when: { new: { id: { contains: 'x' } } } }, () => {})
  // @ts-expect-error it is never null
  prisma.media.onPostSave({ name: 'a', when: { new: { url: null } } }, () => {})
  // @ts-expect-error only all of a JSON value can be asked for
  prisma.everyType.onPostSave({ name: 'a', when: { new: { json: { path: ['a'], equals: 1 } } } }, () => {})
  // @ts-expect-error there is no such row
  prisma.media.onPostSave({ name: 'a', when: { now: { title: 'x' } } }, () => {})
  // @ts-expect-error an insert has no old row
  prisma.media.onPostInsert({ name: 'a', when: { old: { title: 'x' } } }, () => {})
  // @ts-expect-error a delete has no new row
  prisma.media.onPreDelete({ name: 'a', when: { new: { title: 'x' } } }, () => {})
  // @ts-expect-error it has no rows
  prisma.media.onTruncate({ name: 'a', when: { new: { title: 'x' } } }, () => {})
})

test('a change has the members that every change has', () => {
  prisma.media.onPostChange('a', (change) => {
    expectTypeOf(change.id).toEqualTypeOf<bigint>()
    expectTypeOf(change.listener).toEqualTypeOf<string>()
    expectTypeOf(change.attempt).toEqualTypeOf<number>()
    expectTypeOf(change.createdAt).toEqualTypeOf<Date>()
    expectTypeOf(change.context).toEqualTypeOf<Readonly<Record<string, unknown>>>()
    expectTypeOf(change.signal).toEqualTypeOf<AbortSignal>()
    expectTypeOf(change.changed).toEqualTypeOf<readonly (keyof Media)[]>()
    // @ts-expect-error a change cannot be altered
    change.attempt = 2
  })
})

test('fields have the types that Prisma gives them, and relations are none', () => {
  prisma.everyType.onPostInsert('a', ({ new: row }) => {
    expectTypeOf(row).toEqualTypeOf<Prisma.EveryTypeGetPayload<object>>()
    expectTypeOf(row.decimal).toEqualTypeOf<Prisma.Decimal | null>()
    expectTypeOf(row.datetime).toEqualTypeOf<Date | null>()
    expectTypeOf(row.bigint).toEqualTypeOf<bigint | null>()
    expectTypeOf(row.json).toEqualTypeOf<Prisma.JsonValue>()
    expectTypeOf(row.mood).toEqualTypeOf<Mood | null>()
    expectTypeOf(row.moods).toEqualTypeOf<Mood[]>()
    expectTypeOf(row.bytes).toEqualTypeOf<Prisma.Bytes | null>()
    expectTypeOf(row.decimals).toEqualTypeOf<Prisma.Decimal[]>()
  })
  // @ts-expect-error a relation is no column
  prisma.media.onPostInsert('a', ({ new: media }) => media.owner)
})

test('options know the fields of the model', () => {
  prisma.media.onPostSave({ name: 'a', columns: ['title', 'ownerId'], omit: { virus: true } }, () => {})
  const columns = ['title', 'url'] as const
  prisma.media.onPostSave({ name: 'a', columns }, ({ new: media }) => media.title)
  // @ts-expect-error no field
  prisma.media.onPostSave({ name: 'a', columns: ['titel'] }, () => {})
  // @ts-expect-error the column's name, not the field's
  prisma.media.onPostSave({ name: 'a', columns: ['owner_id'] }, () => {})
  // @ts-expect-error a relation
  prisma.media.onPostSave({ name: 'a', columns: ['owner'] }, () => {})
  // @ts-expect-error no field
  prisma.media.onPostSave({ name: 'a', omit: { titel: true } }, () => {})
  // @ts-expect-error a relation
  prisma.media.onPostSave({ name: 'a', select: { owner: true } }, () => {})
  // @ts-expect-error no boolean
  prisma.media.onPostSave({ name: 'a', omit: { title: 'yes' } }, () => {})
  // @ts-expect-error a field of another model
  prisma.media.onPostSave({ name: 'a', columns: ['email'] }, () => {})
  // @ts-expect-error two that say what is stored
  prisma.media.onPostSave({ name: 'a', omit: { title: true }, select: { id: true } }, () => {})
  // @ts-expect-error two that say what is stored
  prisma.media.onPostSave({ name: 'a', select: { id: true }, keysOnly: true }, () => {})
  // @ts-expect-error no model
  prisma.nope
})

test('an option that there is not does not compile', () => {
  // @ts-expect-error a typing error
  prisma.media.onPostSave({ name: 'a', colums: ['title'] }, () => {})
  // @ts-expect-error a typing error
  prisma.media.onPostSave({ name: 'a', attempts: 3, concurency: 1 }, () => {})
  // @ts-expect-error no number
  prisma.media.onPostSave({ name: 'a', attempts: '3' }, () => {})
  // @ts-expect-error no such mode
  prisma.media.onPostSave({ name: 'a', wake: 'sometimes' }, () => {})
  // @ts-expect-error inserts have no columns that changed
  prisma.media.onPostInsert({ name: 'a', columns: ['title'] }, () => {})
  // @ts-expect-error nor deletes
  prisma.media.onPostDelete({ name: 'a', columns: ['title'] }, () => {})
  // @ts-expect-error nothing of a truncated table is stored
  prisma.media.onTruncate({ name: 'a', keysOnly: true }, () => {})
  // @ts-expect-error a typing error, at a decorator
  prisma.media.onPostSave({ nam: 'a' })
  // @ts-expect-error not with a default that there is not
  pubsub({ connectionString, defaults: { attemps: 3 } })
  // @ts-expect-error a handler is a function
  prisma.media.onPostSave('a', 'b')
})

test('what is not stored is not in old and new', () => {
  prisma.user.onPostUpdate({ name: 'a', omit: { passwordHash: true, name: false } }, ({ old, new: user, changed }) => {
    expectTypeOf(user).toEqualTypeOf<Omit<User, 'passwordHash'>>()
    expectTypeOf(old).toEqualTypeOf<Omit<User, 'passwordHash'>>()
    // that it changed is told all the same
    expectTypeOf(changed).toEqualTypeOf<readonly (keyof User)[]>()
    // @ts-expect-error not stored
    user.passwordHash
  })
  prisma.user.onPostSave({ name: 'a', select: { id: true, email: true, name: false } }, ({ old, new: user }) => {
    expectTypeOf(user).toEqualTypeOf<Pick<User, 'id' | 'email'>>()
    expectTypeOf(old).toEqualTypeOf<Pick<User, 'id' | 'email'> | null>()
  })
  prisma.user.onPostDelete({ name: 'a', keysOnly: true }, ({ old }) => {
    expectTypeOf(old).toEqualTypeOf<Partial<User>>()
  })
  prisma.user.onPostDelete({ name: 'a', keysOnly: false }, ({ old }) => {
    expectTypeOf(old).toEqualTypeOf<User>()
  })
})

test('a decorator checks the parameter of its method', () => {
  class Listeners {
    @prisma.media.onPostSave()
    whole(change: PostSave<typeof prisma.media>) {
      expectTypeOf(change.new).toEqualTypeOf<Media>()
    }

    @prisma.media.onPostSave({ columns: ['title'] })
    async part({ new: { title } }: { new: { title: string | null } }) {
      return title
    }

    @prisma.media.onPostInsert()
    wider(_change: PostChange<typeof prisma.media>) {}

    @prisma.media.onPostSave('none')
    none() {}

    // @ts-expect-error of another model
    @prisma.media.onPostSave()
    otherModel(_change: PostSave<typeof prisma.user>) {}

    // @ts-expect-error it gets inserts too, whose old is null
    @prisma.media.onPostSave()
    narrower(_change: PostUpdate<typeof prisma.media>) {}

    // @ts-expect-error what it wants is not stored
    @prisma.media.onPostSave({ omit: { title: true } })
    notStored({ new: { title } }: PostSave<typeof prisma.media>) {
      return title
    }

    // @ts-expect-error no method
    @prisma.media.onPostSave()
    field = () => {}

    // @ts-expect-error no such field
    @prisma.media.onPostSave({ columns: ['nope'] })
    noSuchField() {}
  }
  prisma.$pubsub.register(new Listeners())
  prisma.$pubsub.register(Listeners)
  // @ts-expect-error no object
  prisma.$pubsub.register('Listeners')
})

test('other extensions may come before and after', () => {
  const before = client.$extends({ result: { user: { shout: { needs: { email: true }, compute: () => 'A!' } } } })
  const between = before.$extends(pubsub({ connectionString }))
  const after = between
    .$extends({ model: { $allModels: { exists: (): boolean => true } } })
    .$extends({ client: { $hello: () => 'hello' } })

  expectTypeOf(after.$hello()).toEqualTypeOf<'hello'>()
  expectTypeOf(after.media.exists()).toEqualTypeOf<boolean>()
  after.media.onPostInsert('a', ({ new: media }) => expectTypeOf(media).toEqualTypeOf<Media>())
  after.$pubsub.register({})

  // what an extension computes is not stored, so it is no part of the row, nor a column
  expectTypeOf<Row<typeof after.user>>().toEqualTypeOf<User>()
  after.user.onPostSave('a', ({ new: user }) => {
    expectTypeOf(user).toEqualTypeOf<User>()
    // @ts-expect-error computed
    user.shout
  })
  // @ts-expect-error computed
  after.user.onPostSave({ name: 'a', columns: ['shout'] }, () => {})
  void after.user.findFirstOrThrow().then(({ shout }) => expectTypeOf(shout).toEqualTypeOf<string>())
})

test('what a client omits from every read is stored all the same: the omit of the listener keeps it out', () => {
  const shy = new PrismaClient({ adapter: pubsubAdapter(connectionString), omit: { user: { passwordHash: true } } })
  const extended = shy.$extends(pubsub({ connectionString }))
  expectTypeOf<Row<typeof extended.user>>().toEqualTypeOf<User>()
})

test('$transaction keeps its types', async () => {
  const interactive = await prisma.$transaction(async (tx) => {
    expectTypeOf(tx.media.create).toBeFunction()
    return (await tx.media.findFirstOrThrow()).url
  })
  expectTypeOf(interactive).toEqualTypeOf<string>()

  const [media, users] = await prisma.$transaction([prisma.media.findFirstOrThrow(), prisma.user.count()])
  expectTypeOf(media).toEqualTypeOf<Media>()
  expectTypeOf(users).toEqualTypeOf<number>()

  await prisma.$transaction(async () => {}, { isolationLevel: Prisma.TransactionIsolationLevel.Serializable })
  // @ts-expect-error no such level
  await prisma.$transaction(async () => {}, { isolationLevel: 'Sometimes' })
})

test('functions may take a transaction, or the client itself', async () => {
  // Prisma.TransactionClient is that of a client without extensions: Prisma accepts no extended one as such
  type Tx = Parameters<Parameters<typeof prisma.$transaction>[0]>[0]
  const rename = (tx: Tx, id: number) => tx.media.update({ where: { id }, data: { title: 'x' } })
  await prisma.$transaction((tx) => rename(tx, 1))
  await rename(prisma, 1)
})

test('withContext returns what its function does', async () => {
  const title = await prisma.$pubsub.withContext({ userId: 7 }, async () => 'title')
  expectTypeOf(title).toEqualTypeOf<string>()
  const found = await prisma.$pubsub.withContext({}, () => prisma.media.findFirstOrThrow())
  expectTypeOf(found).toEqualTypeOf<Media>()
  prisma.$pubsub.on('failed', ({ error, dead }) => {
    expectTypeOf(error).toEqualTypeOf<unknown>()
    expectTypeOf(dead).toEqualTypeOf<boolean>()
  })
  // @ts-expect-error no such event
  prisma.$pubsub.on('fail', () => {})
})

test('backoff is a function or settings', () => {
  prisma.media.onPostSave({ name: 'a', backoff: (attempt) => attempt * 1_000, timeoutMs: 5_000 }, () => {})
  prisma.media.onPostSave({ name: 'a', backoff: { firstMs: 500, mostMs: 60_000, jitter: 0.5 } }, () => {})
  prisma.media.onPostSave({ name: 'a', backoff: { type: 'fixed', firstMs: 500 } }, () => {})
  pubsub({ connectionString, defaults: { backoff: { type: 'exponential' }, timeoutMs: 1 } })
  // @ts-expect-error no such type
  prisma.media.onPostSave({ name: 'a', backoff: { type: 'linear' } }, () => {})
  // @ts-expect-error a delay that does not grow has no limit
  prisma.media.onPostSave({ name: 'a', backoff: { type: 'fixed', mostMs: 500 } }, () => {})
  // @ts-expect-error it returns no number
  prisma.media.onPostSave({ name: 'a', backoff: () => 'soon' }, () => {})
})

test('the errors of handlers have literal codes', () => {
  expectTypeOf(new RetryAt({ afterMs: 5 }, 'busy', { cause: 1 }).code).toEqualTypeOf<'PGPUBSUB_RETRY_AT'>()
  expectTypeOf(new RetryAt(new Date()).when).toEqualTypeOf<Date | { readonly afterMs: number }>()
  expectTypeOf(new DoNotRetry('no').code).toEqualTypeOf<'PGPUBSUB_DO_NOT_RETRY'>()
  expectTypeOf(new Discard('no').code).toEqualTypeOf<'PGPUBSUB_DISCARD'>()
  // @ts-expect-error when?
  new RetryAt('busy')
})

test('dead letters take a transaction of this client', async () => {
  const { deadLetters } = prisma.$pubsub
  await prisma.$transaction(async (tx) => {
    expectTypeOf(await deadLetters.retry(1n, { tx })).toEqualTypeOf<number>()
    await deadLetters.discard([1n, 2n], { tx })
    await deadLetters.discard({ listener: 'a', operation: 'insert', diedBefore: new Date() }, { tx })
    expectTypeOf(await deadLetters.list({ listener: 'a', before: 5n, tx })).toEqualTypeOf<DeadLetter[]>()
  })
  await client.$transaction((tx) => deadLetters.retry('all', { tx }))
  // @ts-expect-error ids are bigints
  await deadLetters.retry(1)
  // @ts-expect-error no such criterion
  await deadLetters.discard({ lisener: 'a' })
  // @ts-expect-error no transaction
  await deadLetters.discard('all', { tx: 'tx' })
  // @ts-expect-error one listener
  await prisma.$pubsub.pause()
})

test('status and back-pressure', async () => {
  const [one] = await prisma.$pubsub.status()
  expectTypeOf(one).toEqualTypeOf<ListenerStatus | undefined>()
  expectTypeOf<ListenerStatus['oldestAgeMs']>().toEqualTypeOf<number | null>()
  prisma.media.onPostSave({ name: 'a', highWaterMark: 10 }, () => {})
  pubsub({ connectionString, defaults: { highWaterMark: 10 } })
  const { signal } = new AbortController()
  expectTypeOf(
    await prisma.$pubsub.waitForCapacity('a', { signal, timeoutMs: 5, highWaterMark: 5 }),
  ).toEqualTypeOf<void>()
  prisma.$pubsub.on('highWater', (payload) =>
    expectTypeOf(payload).toEqualTypeOf<{ listener: string; highWaterMark: number }>(),
  )
  // @ts-expect-error which one?
  await prisma.$pubsub.waitForCapacity()
  // @ts-expect-error a number
  prisma.media.onPostSave({ name: 'a', highWaterMark: '10' }, () => {})
})

test('a channel takes what its schema takes, and its handlers are given what the schema makes of it', () => {
  const schema = z.object({ id: z.number(), at: z.coerce.date(), note: z.string().default('none') })
  type Scanned = { id: number; at: Date; note: string }
  const channel = prisma.$pubsub.channel('media.scanned', schema)
  void channel.publish({ id: 1, at: '2026-01-01' })
  void prisma.$transaction((tx) => channel.publish({ id: 1, at: 0 }, { tx, key: 'a' }))
  // @ts-expect-error id is missing
  void channel.publish({ at: 0 })
  // @ts-expect-error it is no text
  void channel.publish({ id: '1', at: 0 })
  // @ts-expect-error there is no such option
  void channel.publish({ id: 1, at: 0 }, { order: 'key' })
  channel.on('a', (message) => {
    expectTypeOf(message).toEqualTypeOf<Message<Scanned>>()
    // @ts-expect-error there is none without transactional
    message.tx
  })
  channel.on({ name: 'a', batch: { size: 10 } }, (messages) => {
    expectTypeOf(messages).toEqualTypeOf<readonly Message<Scanned>[]>()
  })
  channel.on({ name: 'a', transactional: true, client: prisma }, async ({ payload, tx }) => {
    expectTypeOf(payload).toEqualTypeOf<Scanned>()
    expectTypeOf(await tx.user.findFirst()).toEqualTypeOf<User | null>()
    await channel.publish({ id: 1, at: 0 }, { tx })
    // @ts-expect-error a transaction does not end the client
    tx.$disconnect()
  })
  channel.on({ name: 'a', transactional: true }, ({ tx }) => {
    void tx.$queryRawUnsafe('select 1')
    // @ts-expect-error without a client it has no models
    tx.user
  })
  // @ts-expect-error it is the order of rows
  channel.on({ name: 'a', order: 'row' }, () => {})
  // @ts-expect-error a channel has no columns
  channel.on({ name: 'a', columns: ['id'] }, () => {})
  // @ts-expect-error it is no schema
  prisma.$pubsub.channel('a', { type: 'object' })
})

test('a broadcast tells whether it was truncated, and has none of the options of what is stored', () => {
  prisma.media.onPostSave({ name: 'a', delivery: 'broadcast' }, (change) => {
    expectTypeOf(change).toEqualTypeOf<Broadcast<PostSave<typeof prisma.media>>>()
    if (change.truncated) expectTypeOf(change.new).toEqualTypeOf<Partial<Media>>()
    else expectTypeOf(change.new).toEqualTypeOf<Media>()
  })
  prisma.media.onPostSave({ name: 'a', delivery: 'durable', attempts: 3 }, (change) => {
    expectTypeOf(change).toEqualTypeOf<PostSave<typeof prisma.media>>()
  })
  prisma.media.onPostSave(
    { name: 'a', delivery: 'broadcast', concurrency: 2, timeoutMs: 5, columns: ['url'] },
    () => {},
  )
  // @ts-expect-error nothing is tried again
  prisma.media.onPostSave({ name: 'a', delivery: 'broadcast', attempts: 3 }, () => {})
  // @ts-expect-error there is no transaction
  prisma.media.onPostSave({ name: 'a', delivery: 'broadcast', transactional: true }, () => {})
  // @ts-expect-error there is no order
  prisma.media.onPostSave({ name: 'a', delivery: 'broadcast', order: 'row' }, () => {})
  // @ts-expect-error each row is one
  prisma.media.onPostSave({ name: 'a', delivery: 'broadcast', level: 'statement' }, () => {})
  const channel = prisma.$pubsub.channel('a', z.string())
  channel.on({ name: 'a', delivery: 'broadcast' }, (message) => {
    expectTypeOf(message.payload).toEqualTypeOf<string>()
    expectTypeOf(message.truncated).toEqualTypeOf<boolean>()
  })
  // @ts-expect-error nothing is leased
  channel.on({ name: 'a', delivery: 'broadcast', lease: { seconds: 1 } }, () => {})
})

test('a schema decides what the handler is given, as far as it tells', () => {
  const schema = z.object({
    new: z.object({ title: z.string(), size: z.coerce.number() }),
    context: z.object({ userId: z.int() }),
  })
  prisma.media.onPostInsert({ name: 'a', schema }, (change) => {
    expectTypeOf(change.new).toEqualTypeOf<{ title: string; size: number }>()
    expectTypeOf(change.context.userId).toEqualTypeOf<number>()
    expectTypeOf(change.old).toEqualTypeOf<null>()
    expectTypeOf(change.id).toEqualTypeOf<bigint>()
  })
  prisma.media.onPostSave({ name: 'a', schema: z.object({ context: z.object({ userId: z.int() }) }) }, (change) => {
    expectTypeOf(change.context.userId).toEqualTypeOf<number>()
    if (change.operation === 'insert') expectTypeOf(change.old).toEqualTypeOf<null>()
    else expectTypeOf(change.old.title).toEqualTypeOf<string | null>()
  })
  prisma.media.onPostInsert({ name: 'a', schema, batch: { size: 2 }, transactional: true }, ([change]) => {
    expectTypeOf(change?.new.title).toEqualTypeOf<string | undefined>()
    change?.tx.media.count()
  })
  prisma.media.onPostInsert(
    {
      name: 'a',
      upcast: ({ old, new: row }, version) => {
        expectTypeOf(version).toEqualTypeOf<string | null>()
        return { old, new: row && { ...row, headline: row.title } }
      },
    },
    () => {},
  )
  // @ts-expect-error no schema
  prisma.media.onPostInsert({ name: 'a', schema: { title: 'string' } }, () => {})
  // @ts-expect-error it returns no rows
  prisma.media.onPostInsert({ name: 'a', upcast: () => ({ title: 'a' }) }, () => {})
})

test('a listener with replay: true is given replays too, and a replay takes filters of its model', () => {
  prisma.media.onPostSave({ name: 'a', replay: true, omit: { url: true } }, (change) => {
    expectTypeOf(change.operation).toEqualTypeOf<'insert' | 'update' | 'replay'>()
    if (change.operation !== 'replay') return
    expectTypeOf(change.old).toBeNull()
    expectTypeOf(change.new).toEqualTypeOf<Omit<Media, 'url'>>()
  })
  prisma.media.onPostSave({ name: 'b' }, ({ operation }) => {
    expectTypeOf(operation).toEqualTypeOf<'insert' | 'update'>()
  })
  class Listeners {
    @prisma.media.onPostInsert({ replay: true })
    index(change: PostInsert<typeof prisma.media> | Replay<typeof prisma.media>) {
      expectTypeOf(change.new).toEqualTypeOf<Media>()
    }
  }
  prisma.$pubsub.register(new Listeners())
  // @ts-expect-error a deleted row is not there to be replayed
  prisma.media.onPostDelete({ name: 'c', replay: true }, () => {})
  // @ts-expect-error a broadcast is not stored
  prisma.media.onPostSave({ name: 'd', replay: true, delivery: 'broadcast' }, () => {})
  void prisma.$pubsub.replay(prisma.media, { listener: 'a', where: { status: 'Clean' } })
  void prisma.$pubsub.replay({ listener: 'a', after: { id: 1 } })
  // @ts-expect-error no field of the model
  void prisma.$pubsub.replay(prisma.media, { listener: 'a', where: { nothing: 1 } })
})
