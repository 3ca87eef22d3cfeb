import { silentLogger } from '@pgpubsub/core'
import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { openTelemetry } from '@pgpubsub/prisma-extension/opentelemetry'
import { advance, drain, waitFor } from '@pgpubsub/prisma-extension/testing'
import pg from 'pg'
import { z } from 'zod'
import { Command } from './support/command.ts'
import { expectReadable, expectTold, type Misuse, secret } from './support/misuse.ts'
import { expect, type TestDatabase, test } from './support/test.ts'

// biome-ignore lint/suspicious/noExplicitAny: what types forbid is what is tried here
type Wrong = any

const handler = () => {}
const connectionString = `postgresql://app:${secret}@localhost:1/nowhere`

/** A client with a listener that is installed, and a change that waits for it. */
async function clientIn(database: TestDatabase) {
  const prisma = database.prisma()
  prisma.media.onPostSave('known', handler)
  await prisma.$pubsub.install()
  await prisma.media.create({ data: { url: secret } })
  return prisma as Wrong
}

const wrong = (what: string, by: () => unknown, ...says: string[]): Misuse => ({
  what,
  code: 'PGPUBSUB_INVALID_OPTION',
  says,
  by,
})
const unknownField = (what: string, by: () => unknown, ...says: string[]): Misuse => ({
  ...wrong(what, by, ...says),
  code: 'PGPUBSUB_UNKNOWN_COLUMN',
})

test('of pubsub() and its adapter', async ({ database }) => {
  const options = (given: object) => () => pubsub({ connectionString, ...given } as Wrong)
  await expectTold(database, [
    wrong('no options', () => pubsub(undefined as Wrong), 'either { connectionString', '{ pool }'),
    wrong('a text', () => pubsub(connectionString as Wrong), 'either { connectionString'),
    wrong('a client, for pubsub itself as the extension', () => pubsub(database.prisma() as Wrong), 'either {'),
    wrong('a variable that is not set', options({ connectionString: undefined }), 'environment variable'),
    wrong('a pool as well', options({ pool: database.pool }), 'not both'),
    wrong('another database', options({ connectionString: `mysql://a:${secret}@b/c` }), 'begins with postgresql://'),
    wrong('no URL', options({ connectionString: `app:${secret}@localhost/db` }), 'begins with postgresql://'),
    wrong('an object of URL', options({ connectionString: new URL(connectionString) }), 'must be a text'),
    wrong('# in a password', options({ connectionString: `postgresql://a:#${secret}@b/c` }), '# is %23'),
    wrong('true', options({ listenConnectionString: true }), 'listenConnectionString must be a text'),
    wrong('a connection', () => pubsub({ pool: new pg.Client(connectionString) } as Wrong), 'new pg.Pool'),
    wrong('settings of a pool', () => pubsub({ pool: { max: 5 } } as Wrong), 'pool must be a pool'),
    wrong("PostgreSQL's own schema", options({ schema: 'pg_pubsub' }), '"pg_pubsub"', 'Choose another'),
    wrong('no name of a schema', options({ schema: '' }), 'schema must be the name', '""'),
    wrong('a name that is too long', options({ schema: 'x'.repeat(64) }), '1 to 63 bytes'),
    wrong('a function to log to', options({ logger: console.log }), 'logger must have', 'no debug'),
    wrong('a logger that lacks one', options({ logger: { ...silentLogger, warn: 1 } }), 'no warn', 'silentLogger'),
    wrong('a slip', options({ pollIntervallMs: 5 }), '"pollIntervallMs"', 'Did you mean pollIntervalMs?'),
    wrong('a time in words', options({ pollIntervalMs: '5s' }), 'pollIntervalMs', 'whole number', '"5s"'),
    wrong('a slip in the defaults', options({ defaults: { attemps: 3 } }), 'Did you mean attempts?'),
    wrong('transactional for all', options({ defaults: { transactional: true } }), '"transactional"', 'defaults'),
    wrong('no attempt', options({ defaults: { attempts: 0 } }), 'attempts of the defaults', 'above 0'),
    wrong('defaults in a list', options({ defaults: [] }), 'defaults of pubsub', 'as an object', 'a list'),
    wrong('openTelemetry, not called', options({ instrumentation: openTelemetry }), 'openTelemetry()'),
    wrong('no argument', () => pubsubAdapter(undefined as Wrong), 'pubsubAdapter takes', '{ connectionString }'),
    wrong('no address', () => pubsubAdapter({ connectionString: undefined } as Wrong), 'environment variable'),
  ])
})

test('of listeners on models', async ({ database }) => {
  const prisma = await clientIn(database)
  const on = (options: object) => () => prisma.media.onPostSave({ name: 'a', ...options }, handler)
  const { onPostSave } = prisma.media
  await expectTold(database, [
    {
      what: 'a name twice',
      code: 'PGPUBSUB_DUPLICATE_LISTENER',
      says: ['"known"', 'public.media', 'public.user another'],
      by: () => prisma.user.onPostDelete('known', handler),
    },
    wrong('no name', () => prisma.media.onPostSave({}, () => {}), 'needs a name', "{ name: '…' }"),
    wrong('an empty name', () => prisma.media.onPostSave(' ', handler), 'needs a name', '" "'),
    wrong('a long name', () => prisma.media.onPostSave('é'.repeat(32), handler), '64 bytes', 'at most 63'),
    wrong('the handler first', () => prisma.media.onPostSave(handler, 'scan'), 'onPostSave', 'as an object'),
    wrong('an import cycle', () => prisma.media.onPostSave('a', undefined), '"a"', 'import each other', 'third'),
    wrong('a called handler', () => prisma.media.onPostSave('a', Promise.resolve()), '"a"', 'must be a function'),
    wrong('a method without its model', () => onPostSave('a', handler), 'prisma.media.onPostSave'),
    wrong('a slip', on({ colums: ['title'] }), 'onPostSave on Media', '"colums"', 'Did you mean columns?'),
    wrong('an option of others', on({ retries: 3 }), '"retries"', 'attempts'),
    wrong('columns as a text', on({ columns: 'title' }), 'columns', "['title']"),
    wrong('no column', on({ columns: [] }), 'columns', 'at least one field'),
    unknownField('a field misspelt', on({ columns: ['titel'] }), '"titel"', 'Did you mean title?'),
    unknownField('the name of the column', on({ columns: ['owner_id'] }), '"owner_id"', 'Did you mean ownerId?'),
    unknownField('a relation', on({ select: { owner: true } }), 'select', '"owner"', 'not a scalar field of Media'),
    unknownField('a filter by a relation', on({ when: { new: { owner: { id: 1 } } } }), 'when.new', '"owner"'),
    unknownField(
      'a field of a wide model',
      () => prisma.everyType.onPostSave({ name: 'a', columns: ['timestamp_tz'] }, handler),
      'EveryType',
      'Did you mean timestamptz?',
    ),
    unknownField(
      'nothing of a wide model',
      () => prisma.everyType.onPostSave({ name: 'a', columns: ['unheard of'] }, handler),
      'Its fields are id, string',
      ' more.',
    ),
    wrong('a filter without a row', on({ when: { status: 'Clean' } }), '"status"', 'new, old'),
    wrong('a wrong value', on({ when: { new: { status: 'clean' } } }), '"status"', "'Clean'"),
    wrong('a word of SQL', on({ when: { new: { title: { like: '%a' } } } }), '"like"', 'contains'),
    wrong('a text for a number', on({ when: { new: { id: '7' } } }), '"id"', 'whole number'),
    wrong('select as a list', on({ select: ['id'] }), 'select', '{ title: true }'),
    wrong('omit and select', on({ omit: { id: true }, select: { id: true } }), 'omit and select', 'Give one'),
    wrong('attempts as a text', on({ attempts: '3' }), 'attempts', '"3"'),
    wrong('no end of attempts', on({ attempts: Number.POSITIVE_INFINITY }), 'attempts', 'whole number'),
    wrong('a pause as a number', on({ backoff: 1000 }), 'backoff', "type: 'exponential'"),
    wrong('a limit below the first', on({ backoff: { firstMs: 10, mostMs: 5 } }), 'mostMs', 'at least firstMs'),
    wrong('a time in seconds', on({ timeout: 30 }), '"timeout"', 'timeoutMs'),
    wrong('longer than a timer', on({ timeoutMs: 2 ** 31 }), 'timeoutMs', '24 days'),
    wrong('a wrong word', on({ order: 'rows' }), 'order', "'row', 'none'"),
    wrong('a switch for a word', on({ wake: true }), 'wake', "'idle', 'always', 'never'"),
    wrong('a lease as a number', on({ lease: 30 }), 'lease', 'as an object'),
    wrong('a lease without seconds', on({ lease: {} }), 'seconds in lease', 'from 1 to 86400'),
    wrong('a lease and tx', on({ transactional: true, lease: { seconds: 9 } }), 'transactional', 'Choose one'),
    wrong('parallel transactions', on({ transactional: true, concurrency: 5 }), 'concurrency', 'more workers'),
    wrong('a size of nothing', on({ batch: {} }), 'size', 'batch of listener "a"', 'whole number'),
    wrong('two sizes', on({ batch: { size: 5 }, batchSize: 5 }), 'batch and batchSize', 'Leave batchSize out'),
    wrong('stored broadcasts', on({ delivery: 'broadcast', attempts: 3 }), 'attempts', 'broadcast', 'Leave attempts'),
    wrong('a function as the schema', on({ schema: () => true }), 'schema', 'zod 4'),
    wrong('a table as upcast', on({ upcast: { 1: handler } }), 'upcast', 'a function'),
    wrong(
      'columns of inserts',
      () => prisma.media.onPostInsert({ name: 'a', columns: ['title'] }, handler),
      'columns',
      'never sees an update',
    ),
    wrong(
      'the new row of a delete',
      () => prisma.media.onPostDelete({ name: 'a', when: { new: { id: 1 } } }, handler),
      'when',
      'new row',
    ),
    wrong(
      'statements before the write',
      () => prisma.media.onPreSave({ name: 'a', level: 'statement' }, handler),
      "level: 'statement'",
      'after the write',
    ),
    ...[{ omit: { id: true } }, { select: { id: true } }, { keysOnly: true }, { level: 'statement' }].map((option) =>
      wrong(
        `${Object.keys(option)} of a truncate`,
        () => prisma.media.onTruncate({ name: 'a', ...option }, handler),
        `${Object.keys(option)} of`,
        'onTruncate has none',
        'Leave',
      ),
    ),
  ])
  prisma.media.onPostSave('a', handler) // what was refused has not taken the name
})

test('of decorators and register()', async ({ database }) => {
  const prisma = await clientIn(database)
  const decorate = prisma.media.onPostSave('a')
  class Plain {
    scan() {}
  }
  const decorator = (what: string, by: () => unknown, ...says: string[]): Misuse => ({
    ...wrong(what, by, ...says),
    code: 'PGPUBSUB_INVALID_DECORATOR',
  })
  const nothing = (what: string, instance: unknown, ...says: string[]): Misuse => ({
    ...wrong(what, () => prisma.$pubsub.register(instance), ...says, '@prisma.media.onPostSave()'),
    code: 'PGPUBSUB_NO_LISTENERS',
  })
  await expectTold(database, [
    decorator('a class', () => decorate(Plain, { kind: 'class', name: 'Plain' }), '@onPostSave', 'second argument'),
    decorator('decorators of before', () => decorate({}, 'scan', {}), 'experimentalDecorators'),
    decorator(
      'a private method',
      () => decorate(handler, { kind: 'method', name: '#a', private: true }),
      '#a',
      'public',
    ),
    nothing('no decorator', new Plain(), 'an instance of Plain'),
    nothing('a class', Plain, 'new Plain()'),
    nothing('nothing', undefined, 'nothing'),
    wrong(
      'a decorator with a slip',
      () => prisma.media.onPostSave({ name: 'a', atempts: 3 }),
      'Did you mean attempts?',
    ),
  ])
})

test('of the context and mute()', async ({ database }) => {
  const prisma = await clientIn(database)
  const { $pubsub } = prisma
  const write = () => prisma.media.create({ data: { url: 'x' } })
  const context = (what: string, given: unknown, ...says: string[]): Misuse => ({
    ...wrong(what, () => $pubsub.withContext(given, write), 'plain object', '{ userId: 7 }', ...says),
    code: 'PGPUBSUB_INVALID_CONTEXT',
  })
  await expectTold(database, [
    context('a number', 7, 'not an object'),
    context('a list', [secret], 'a list'),
    context('a Map', new Map([['userId', secret]]), 'object of a class'),
    context('a bigint', { id: 7n, secret }, 'cannot be written as JSON'),
    context('a NUL character', { text: `${secret}\0` }, 'NUL'),
    { ...context('for good', 7), by: () => $pubsub.enterContext(null) },
    wrong('a query', () => $pubsub.withContext({ userId: 7 }, write()), 'withContext', '() => prisma.media.create'),
    wrong('no function', () => $pubsub.withContext({ userId: 7 }), 'withContext', 'function'),
    wrong('a muted query', () => $pubsub.mute(write()), 'mute', '() => prisma.media.create'),
  ])
})

test('of workers, process() and events', async ({ database }) => {
  const prisma = await clientIn(database)
  const { $pubsub } = prisma
  const unknown = (what: string, by: () => unknown, ...says: string[]): Misuse => ({
    ...wrong(what, by, ...says),
    code: 'PGPUBSUB_UNKNOWN_LISTENER',
  })
  await expectTold(database, [
    unknown('a slip', () => $pubsub.listen({ listeners: ['knwon'] }), '"knwon"', 'Did you mean known?'),
    unknown(
      'a slip again',
      () => $pubsub.process({ listeners: ['nobody'] }),
      '"nobody"',
      'Import the module',
      'Declared are "known"',
    ),
    unknown('one to pause', () => $pubsub.pause('knwon'), '"knwon"'),
    unknown('one to wait for', () => $pubsub.waitForCapacity('knwon'), '"knwon"', 'import the module'),
    {
      ...wrong('an empty list', () => $pubsub.listen({ listeners: [] }), 'empty list', 'Leave it out'),
      code: 'PGPUBSUB_NO_LISTENERS',
    },
    {
      ...wrong('nothing declared', () => database.prisma().$pubsub.listen(), 'declare a listener', 'import'),
      code: 'PGPUBSUB_NO_LISTENERS',
    },
    wrong('a name alone', () => $pubsub.listen('known'), 'listen', 'as an object', '"known"'),
    wrong('no list', () => $pubsub.listen({ listeners: 'known' }), 'listeners of listen', "['scan-media']"),
    wrong('nobody at work', () => $pubsub.listen({ concurrency: 0 }), 'concurrency of listen', 'above 0'),
    wrong('an option of listeners', () => $pubsub.listen({ batchSize: 5 }), '"batchSize"', 'listeners, concurrency'),
    wrong('a controller', () => $pubsub.process({ signal: new AbortController() }), 'controller.signal'),
    wrong('nothing at all', () => $pubsub.process({ max: 0 }), 'max of process', 'above 0'),
    wrong('no name', () => $pubsub.pause(), 'pause', 'name of a listener'),
    wrong('no name again', () => $pubsub.resume({ listener: 'known' }), 'resume', 'name of a listener'),
    wrong('no mark', () => $pubsub.waitForCapacity('known'), '"known"', 'no highWaterMark', 'declare it with one'),
    wrong('no name to wait for', () => $pubsub.waitForCapacity(), 'waitForCapacity', 'name of a listener'),
    wrong('an unknown event', () => $pubsub.on('unknownEvent', handler), '"unknownEvent"', 'claimed, handled, failed'),
    wrong('an event of others', () => $pubsub.on('message', handler), 'The events are', 'failed'),
    wrong('a slip', () => $pubsub.on('hndled', handler), 'Did you mean handled?'),
    wrong('no function', () => $pubsub.on('failed'), '"failed"', 'a function'),
    wrong('no logger', () => $pubsub.logTo(console.log), 'logger must have', 'silentLogger'),
    wrong('an unknown role', () => $pubsub.doctor({ role: 'nobody-of-that-name' }), '"nobody-of-that-name"'),
    wrong('a threshold in words', () => $pubsub.doctor({ deadRows: 'many' }), 'deadRows of doctor', 'a number'),
  ])
})

test('before anything is installed', async ({ database }) => {
  const prisma = database.prisma({ schema: 'elsewhere' })
  prisma.media.onPostSave('a', handler)
  const { $pubsub } = prisma
  const channel = $pubsub.channel('notes', z.string())
  const missing = (what: string, by: () => unknown): Misuse => ({
    ...wrong(what, by, '"elsewhere"', 'install()'),
    code: 'PGPUBSUB_NOT_INSTALLED',
  })
  await expectTold(database, [
    missing('listen', () => $pubsub.listen()),
    missing('process', () => $pubsub.process()),
    missing('status', () => $pubsub.status()),
    missing('pause', () => $pubsub.pause('a')),
    missing('dead letters', () => $pubsub.deadLetters.list()),
    missing('publish', () => channel.publish(secret)),
    missing('drain', () => drain(prisma)),
  ])
})

test('of dead letters', async ({ database }) => {
  const prisma = await clientIn(database)
  const { deadLetters } = prisma.$pubsub
  await expectTold(database, [
    wrong('a number', () => deadLetters.retry(7), 'deadLetters.retry', '7n', 'given 7'),
    wrong('a text', () => deadLetters.discard('7'), 'deadLetters.discard', "BigInt('7')"),
    wrong('numbers', () => deadLetters.retry([7]), 'must be bigints', '7n'),
    wrong('nothing', () => deadLetters.retry(), "'all'"),
    wrong('an empty filter', () => deadLetters.discard({}), "Say 'all'"),
    wrong('a slip', () => deadLetters.discard({ listner: 'known' }), '"listner"', 'Did you mean listener?'),
    wrong('a date in words', () => deadLetters.retry({ diedAfter: 'today' }), 'diedAfter', 'a Date'),
    wrong('an operation of others', () => deadLetters.list({ operation: 'create' }), 'operation', 'insert, update'),
    wrong('no limit', () => deadLetters.list({ limit: 0 }), 'limit', 'above 0'),
    wrong('the client', () => deadLetters.discard('all', { tx: prisma }), 'tx', 'not the client'),
    wrong('a promise', () => deadLetters.discard('all', { tx: Promise.resolve() }), 'tx', 'prisma.$transaction'),
    wrong('tx without its name', () => prisma.$transaction((tx: Wrong) => deadLetters.discard('all', tx)), 'tx'),
  ])
})

test('of channels', async ({ database }) => {
  const prisma = await clientIn(database)
  const schema = z.object({ card: z.string(), at: z.date().optional() })
  const cards = prisma.$pubsub.channel('cards', schema)
  cards.on('charge', handler)
  await prisma.$pubsub.install()
  const message = (what: string, payload: unknown, ...says: string[]): Misuse => ({
    ...wrong(what, () => cards.publish(payload), '"cards"', 'was not published', ...says),
    code: 'PGPUBSUB_INVALID_MESSAGE',
  })
  const loop: Record<string, unknown> = { card: secret }
  loop.self = loop
  await expectTold(database, [
    wrong('no schema', () => prisma.$pubsub.channel('notes'), '"notes"', 'zod 4'),
    wrong('a shape', () => prisma.$pubsub.channel('notes', { card: 'string' }), '"notes"', 'schema'),
    wrong('no name', () => prisma.$pubsub.channel('', schema), 'channel needs a name'),
    {
      ...wrong('another schema', () => prisma.$pubsub.channel('cards', z.string()), '"cards"', 'export it'),
      code: 'PGPUBSUB_DUPLICATE_CHANNEL',
    },
    message('nothing', undefined),
    message('a wrong type', { card: 7 }, 'card'),
    message('a member too few', { cart: secret }, 'card'),
    message('a date in words', { card: secret, at: 'today' }, 'at'),
    wrong('tx without its name', () => cards.publish({ card: secret }, 'tx'), 'publish', 'as an object'),
    wrong('the client', () => cards.publish({ card: secret }, { tx: prisma }), 'tx', 'not the client'),
    wrong('a number as key', () => cards.publish({ card: secret }, { key: 7 }), 'key', 'must be a text'),
    wrong('no listener', () => cards.on(), '"cards"', 'name of a listener'),
    wrong('no handler', () => cards.on('a'), '"a"', 'must be a function'),
    wrong('an option of models', () => cards.on({ name: 'a', columns: [] }, handler), '"columns"', '"cards"'),
    wrong('the order of models', () => cards.on({ name: 'a', order: 'row' }, handler), 'order', "'key', 'none'"),
    wrong('no client', () => cards.on({ name: 'a', client: {} }, handler), 'client', 'extended client'),
    {
      ...wrong('a name twice', () => cards.on('known', handler), '"known"', 'public.media'),
      code: 'PGPUBSUB_DUPLICATE_LISTENER',
    },
  ])
})

test('of the core, by the names of tables', async ({ database }) => {
  await clientIn(database)
  const core = database.core() as Wrong
  const on = (options: object) => () => core.onChange({ name: 'a', table: 'media', ...options }, handler)
  const installing = (what: string, options: object, code: Misuse['code'], ...says: string[]): Misuse => ({
    what,
    code,
    says,
    by: () => {
      const other = database.core({ schema: 'other' }) as Wrong
      other.onChange({ name: 'a', table: 'media', ...options }, handler)
      return other.install()
    },
  })
  await expectTold(database, [
    wrong('a name alone', () => core.onChange('a', handler), 'onChange', 'as an object', '"a"'),
    wrong('a slip', on({ operation: ['insert'] }), '"operation"', 'Did you mean operations?'),
    wrong('no table', on({ table: undefined }), 'table of listener "a"'),
    wrong('an operation alone', on({ operations: 'insert' }), 'operations', 'a list', 'insert, update'),
    wrong('an operation of others', on({ operations: ['create'] }), 'insert, update'),
    wrong('columns as a text', on({ columns: 'title' }), 'columns', "['title']"),
    wrong("Prisma's omit", on({ omit: { title: true } }), 'omit', "['title']", 'an object'),
    wrong('zod as schema', on({ schema: z.object({}) }), 'schema of listener "a"', 'changeSchema'),
    wrong('a switch in words', on({ keysOnly: 'yes' }), 'keysOnly', 'true or false'),
    wrong('a timing of others', on({ timing: 'instead of' }), 'timing', "'after', 'before'"),
    wrong('columns of inserts', on({ operations: ['insert'], columns: ['title'] }), 'columns', 'Leave columns out'),
    wrong('rows of a truncate', on({ operations: ['truncate'], keysOnly: true }), 'keysOnly', 'Leave keysOnly out'),
    wrong('upcast alone', on({ upcast: handler }), 'upcast', "version: '2'"),
    wrong('no handler', () => core.onChange({ name: 'a', table: 'media' }), '"a"', 'must be a function'),
    wrong('a pool as tx', () => core.deadLetters.discard('all', { tx: database.pool }), 'A pool is no transaction'),
    installing('no such table', { table: 'medium' }, 'PGPUBSUB_UNKNOWN_TABLE', '"medium"', 'migrations'),
    installing('no such column', { columns: ['titel'] }, 'PGPUBSUB_UNKNOWN_COLUMN', '"titel"', 'Did you mean title?'),
  ])
})

test('of the test kit', async ({ database }) => {
  const prisma = await clientIn(database)
  await expectTold(database, [
    wrong('no client', () => drain(undefined as Wrong), 'drain', '$pubsub', 'first argument'),
    wrong('the engine', () => waitFor(prisma.$pubsub, 'known'), 'waitFor', 'first argument'),
    wrong('a client without the extension', () => advance({} as Wrong, 5), 'advance', 'first argument'),
    wrong('a slip', () => drain(prisma, { failure: 'return' } as Wrong), 'Did you mean failures?'),
    wrong('a wrong word', () => drain(prisma, { failures: 'ignore' } as Wrong), "'throw', 'return'"),
    wrong('a name alone', () => drain(prisma, { listeners: 'known' } as Wrong), "['scan-media']"),
    wrong('no listener', () => waitFor(prisma, undefined as Wrong), 'waitFor', 'name of a listener'),
    wrong('an object to look for', () => waitFor(prisma, 'known', { id: 1 } as Wrong), 'a function', 'an object'),
    wrong('a time in words', () => advance(prisma, '1m' as Wrong), 'milliseconds', '"1m"'),
    {
      ...wrong('an unknown listener', () => waitFor(prisma, 'knwon'), '"knwon"', 'Did you mean known?'),
      code: 'PGPUBSUB_UNKNOWN_LISTENER',
    },
  ])
})

test('of the command line', async ({ database }) => {
  const module = 'test/fixtures/media-listeners.ts'
  const wrongUse: [args: string[], exitCode: number, ...says: string[]][] = [
    [['listne', module], 2, "unknown command 'listne'", 'Did you mean listen?'],
    [['listen'], 2, "missing required argument 'module'"],
    [['listen', 'no/such/file.ts'], 2, 'There is no module', 'no/such/file.ts'],
    [['listen', 'packages/core/dist/index.js'], 2, 'index.js exports no Prisma Client', 'export const prisma'],
    [['listen', module, '--listener', 'a'], 2, "unknown option '--listener'", 'Did you mean --listeners?'],
    [['listen', module, '--listeners', 'nobody'], 2, '"nobody"', 'Declared are'],
    [['listen', module, '--concurrency', 'many'], 2, '--concurrency', "'many'"],
    [['dead', 'retry', module, 'seven'], 2, "'seven'"],
    [['status', '--url', `mysql://a:${secret}@b/c`], 2, 'PGPUBSUB_INVALID_OPTION', 'postgresql://'],
    [['status', '--url', `postgresql://a:${secret}@localhost:1/c`], 1, 'The database cannot be reached'],
  ]
  await Promise.all(
    wrongUse.map(async ([args, exitCode, ...says]) => {
      const command = new Command(args, { DATABASE_URL: database.url })
      const what = args.join(' ')
      expect.soft(await command.exitCode(), what).toBe(exitCode)
      const [line = ''] = command.stderr.split('\n')
      // where it is no terminal, what is wrong in the work is a line of the log
      const message = line.startsWith('{') ? JSON.parse(line).msg : command.stderr.trim()
      for (const words of says) expect.soft(message, what).toContain(words)
      expectReadable(what, message)
    }),
  )
  expect(await database.sql(`select to_regnamespace('pgpubsub')::text as schema`)).toEqual([{ schema: null }])
})
