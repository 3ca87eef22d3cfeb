import { context, createTraceState, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import * as conventions from '@opentelemetry/semantic-conventions/incubating'
import { Discard, FailedChanges } from '@pgpubsub/core'
import { openTelemetry } from '@pgpubsub/prisma-extension/opentelemetry'
import { z } from 'zod'
import { countingProxy } from './support/counting-proxy.ts'
import { createItems, onItem } from './support/items.ts'
import {
  endedSpans,
  forgetSpans,
  idOf,
  inSpan,
  linkedIds,
  points,
  setUpTelemetry,
  spansOf,
  traceparentOf,
} from './support/telemetry.ts'
import { describe, expect, test as plainTest, type TestClient, type TestDatabase, vi } from './support/test.ts'

setUpTelemetry()
const test = plainTest.extend<{ forgotten: undefined }>({
  forgotten: [
    // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
    async ({}, use) => {
      forgetSpans()
      await use(undefined)
    },
    { auto: true },
  ],
})

const instrumentation = openTelemetry()
const url = 'file:///a'
const quick = { pollIntervalMs: 600_000, defaults: { backoff: () => 1 } }

/** A client whose listener of media runs; `handle` is its handler. */
async function traced(database: TestDatabase, handle: () => unknown, options: object = {}): Promise<TestClient> {
  const prisma = database.prisma({ instrumentation, ...quick, ...options })
  prisma.media.onPostSave('scan', async () => void (await handle()))
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  return prisma
}

const insertItem = 'insert into item (id) values ($1)'

const ways: Record<string, (prisma: TestClient) => PromiseLike<unknown>> = {
  create: (prisma) => prisma.media.create({ data: { url } }),
  'a nested write': (prisma) => prisma.user.create({ data: { email: 'a', media: { create: { url } } } }),
  'raw SQL': (prisma) => prisma.$executeRaw`insert into media (url) values (${url})`,
  'a batch': (prisma) => prisma.$transaction([prisma.media.count(), prisma.media.create({ data: { url } })]),
  'a transaction': (prisma) => prisma.$transaction((tx) => tx.media.create({ data: { url } })),
  'a context': (prisma) => prisma.$pubsub.withContext({ userId: 7 }, () => prisma.media.create({ data: { url } })),
}

describe.for(['carrying', 'plain'] as const)('with the adapter %s', (adapter) => {
  test.for(Object.entries(ways))(
    'the span of a handler links to the span that wrote by %s',
    async ([, write], { database }) => {
      const prisma = await traced(database, () => inSpan('scan itself', () => {}), { adapter })
      const request = await inSpan('request', () => write(prisma))
      const [span] = await endedSpans('process scan', 1)
      expect(span).toMatchObject({ kind: SpanKind.CONSUMER, parentSpanContext: undefined, status: { code: 0 } })
      expect(span?.spanContext().traceId).not.toBe(request.spanContext().traceId)
      expect(span?.links).toEqual([{ context: { ...request.spanContext(), isRemote: true } }])
      const [child] = spansOf('scan itself')
      expect(child?.parentSpanContext?.spanId).toBe(span?.spanContext().spanId)
    },
  )

  test('requests that write at the same time are not mixed up', async ({ database }) => {
    const prisma = await traced(database, () => {}, { adapter })
    const requests = Array.from({ length: 60 }, (_, n) =>
      inSpan(`request ${n}`, async () => {
        await Object.values(ways)[n % 6]?.(n % 6 === 1 ? withoutUser(prisma, `${n}`) : prisma)
        await prisma.media.create({ data: { url: `second of ${n}` } })
      }),
    )
    const spans = await Promise.all(requests)
    const handled = await endedSpans('process scan', 120)
    const twice = spans.flatMap((span) => [idOf(span), idOf(span)])
    expect(handled.flatMap(linkedIds).sort()).toEqual(twice.sort())
  })
})

/** Each has a user of its own: an e-mail address is taken once. */
function withoutUser(prisma: TestClient, email: string): TestClient {
  const user = { create: () => prisma.user.create({ data: { email, media: { create: { url } } } }) }
  return { ...prisma, user, media: prisma.media } as unknown as TestClient
}

test('a write in a span costs no round trip more, and a read sends no statement more', async ({ database }) => {
  const proxy = await countingProxy(database)
  const prisma = database.prisma({ instrumentation, url: proxy.url })
  const traffic = (work: () => PromiseLike<unknown>) =>
    proxy.traffic(() => inSpan('request', async () => void (await work())))
  const write = () => prisma.$executeRaw`insert into media (url) values (${url})`
  await traffic(write)
  expect(await traffic(write)).toEqual({ statements: 2, roundTrips: 1 })
  expect(await traffic(() => prisma.media.findMany())).toEqual({ statements: 1, roundTrips: 1 })
})

test('a span says what was handled, in the words of the conventions', async ({ database }) => {
  const prisma = await traced(database, () => {})
  await prisma.media.create({ data: { url } })
  const [span] = await endedSpans('process scan', 1)
  expect(span?.attributes).toEqual({
    [conventions.ATTR_MESSAGING_SYSTEM_NAME]: 'pgpubsub',
    [conventions.ATTR_MESSAGING_OPERATION_TYPE]: conventions.MESSAGING_OPERATION_TYPE_VALUE_PROCESS,
    [conventions.ATTR_MESSAGING_OPERATION_NAME]: 'process',
    [conventions.ATTR_MESSAGING_DESTINATION_NAME]: 'scan',
    [conventions.ATTR_MESSAGING_MESSAGE_ID]: expect.stringMatching(/^\d+$/),
    'pgpubsub.change.operation': 'insert',
    'pgpubsub.attempt': 1,
  })
  expect(span?.links).toEqual([])
})

test('a worker that was started by a request does not belong to it', async ({ database }) => {
  const prisma = database.prisma({ instrumentation, ...quick })
  prisma.media.onPostSave('scan', () => inSpan('scan itself', () => {}))
  await prisma.$pubsub.install()
  await inSpan('start', () => prisma.$pubsub.listen())
  await prisma.media.create({ data: { url } })
  const [span] = await endedSpans('process scan', 1)
  expect(span?.parentSpanContext).toBeUndefined()
  expect(span?.links).toEqual([])
})

test('process() does not belong to the request that calls it', async ({ database }) => {
  const prisma = database.prisma({ instrumentation })
  prisma.media.onPostSave('scan', () => {})
  await prisma.$pubsub.install()
  const request = await inSpan('request', () => prisma.media.create({ data: { url } }))
  await inSpan('cron', () => prisma.$pubsub.process())
  const [span] = await endedSpans('process scan', 1)
  expect(span?.parentSpanContext).toBeUndefined()
  expect(linkedIds(span!)).toEqual([idOf(request)])
})

test.for(['durable', 'broadcast'] as const)(
  'a message of a channel is traced like a change: %s',
  async (delivery, { database }) => {
    const prisma = database.prisma({ instrumentation, ...quick })
    const scanned = prisma.$pubsub.channel('scanned', z.number())
    scanned.on({ name: 'mail', delivery }, () => {})
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    const requests = [
      await inSpan('alone', () => scanned.publish(1)),
      await inSpan('in a context', () => prisma.$pubsub.withContext({ userId: 7 }, () => scanned.publish(2))),
      await inSpan('in a transaction', () => prisma.$transaction((tx) => scanned.publish(3, { tx }))),
    ]
    const spans = await endedSpans('process mail', 3)
    expect(spans.flatMap(linkedIds).sort()).toEqual(requests.map(idOf).sort())
    expect(spans[0]?.attributes['pgpubsub.change.operation']).toBe('message')
  },
)

test.for([{}, { transactional: true }, { lease: { seconds: 60 } }])(
  'what a handler writes links to the handler, with %j',
  async (options, { database }) => {
    const prisma = database.prisma({ instrumentation, ...quick })
    prisma.media.onPostInsert({ name: 'tag', ...options }, async ({ new: media, context, ...given }) => {
      const { tx = prisma } = given as { tx?: TestClient }
      await inSpan('tag itself', () => tx.tag.create({ data: { label: 'new', mediaId: media.id } }))
      // passed on as the guide has it, with the trace of the request
      await prisma.$pubsub.withContext({ ...context, by: 'tag' }, () =>
        prisma.user.create({ data: { email: `${media.id}` } }),
      )
    })
    prisma.tag.onPostInsert('index', () => {})
    prisma.user.onPostInsert('welcome', ({ context }) => expect(context).toMatchObject({ userId: 7, by: 'tag' }))
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    await inSpan('request', () =>
      prisma.$pubsub.withContext({ userId: 7 }, () => prisma.media.create({ data: { url } })),
    )
    const [index] = await endedSpans('process index', 1)
    const [welcome] = await endedSpans('process welcome', 1)
    expect(linkedIds(index!)).toEqual([spansOf('tag itself')[0]?.spanContext().spanId])
    expect(linkedIds(welcome!)).toEqual([spansOf('process tag')[0]?.spanContext().spanId])
    expect(welcome?.status.code).toBe(SpanStatusCode.UNSET)
  },
)

test('without Prisma it is the same, in the transaction of the handler too', async ({ database }) => {
  await createItems(database)
  await database.sql('create table log (id int)')
  const core = database.core({ instrumentation, ...quick })
  core.onChange({ name: 'items', table: 'item', transactional: true }, async ({ tx }) => {
    await tx.query('insert into log (id) values (1)')
  })
  core.onChange({ name: 'log', table: 'log' }, () => {})
  await core.install()
  const pool = await core.openPool()
  await core.listen()
  const request = await inSpan('request', () => pool.query(insertItem, [1]))
  const [items] = await endedSpans('process items', 1)
  const [log] = await endedSpans('process log', 1)
  expect(linkedIds(items!)).toEqual([idOf(request)])
  expect(linkedIds(log!)).toEqual([items?.spanContext().spanId])
  await database.drained()
})

describe('a traceparent of the context', () => {
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00'

  test('is linked to, with its tracestate, where no span is active', async ({ database }) => {
    const prisma = await traced(database, () => {})
    await prisma.$pubsub.withContext({ traceparent, tracestate: 'vendor=value' }, () =>
      prisma.media.create({ data: { url } }),
    )
    const [span] = await endedSpans('process scan', 1)
    const { traceState, ...linked } = span?.links[0]?.context ?? {}
    expect(linked).toEqual({
      traceId: '0af7651916cd43dd8448eb211c80319c',
      spanId: 'b7ad6b7169203331',
      traceFlags: 0,
      isRemote: true,
    })
    expect(traceState?.serialize()).toBe('vendor=value')
  })

  test('gives way to the span that is active, and so does its tracestate', async ({ database }) => {
    const prisma = await traced(database, () => {})
    const request = await inSpan('request', () =>
      prisma.$pubsub.withContext({ traceparent, tracestate: 'vendor=value' }, () =>
        prisma.media.create({ data: { url } }),
      ),
    )
    const [span] = await endedSpans('process scan', 1)
    expect(span?.links).toEqual([{ context: { ...request.spanContext(), isRemote: true } }])
  })

  test.for([
    '{"traceparent": "00-rubbish-00"}',
    `{"traceparent": "00-${'0'.repeat(32)}-b7ad6b7169203331-01"}`,
    '{"traceparent": {"a": 1}}',
    '{"other": {"traceparent": 7}}',
    '["traceparent"]',
    'null "traceparent"',
    '"traceparent"',
  ])('harms nobody when it is %s', async (text, { database }) => {
    await traced(database, () => {})
    await database.pool.query(
      `begin; set local pgpubsub.notification_context = '${text}'; insert into media (url) values ('a'); commit`,
    )
    const [span] = await endedSpans('process scan', 1)
    expect(span?.links).toEqual([])
    await database.drained()
  })
})

test('the tracestate of the active span is stored too', async ({ database }) => {
  const prisma = await traced(database, () => {})
  const traceState = createTraceState('vendor=value')
  const request = { traceId: '0af7651916cd43dd8448eb211c80319c', spanId: 'b7ad6b7169203331', traceFlags: 1, traceState }
  await context.with(trace.setSpanContext(context.active(), request), () =>
    prisma.media.create({ data: { url } }).then(),
  )
  const [span] = await endedSpans('process scan', 1)
  expect(span?.links[0]?.context.traceState?.serialize()).toBe('vendor=value')
})

test('the stored context has the trace beside its own members', async ({ database }) => {
  const prisma = database.prisma({ instrumentation })
  prisma.media.onPostSave('scan', () => {})
  await prisma.$pubsub.install()
  const request = await inSpan('request', () =>
    prisma.$pubsub.withContext({ userId: 7, traceparent: 'older' }, () => prisma.media.create({ data: { url } })),
  )
  expect(await database.sql('select context from pgpubsub.notification')).toEqual([
    { context: { userId: 7, traceparent: traceparentOf(request) } },
  ])
})

describe('an error of a handler', () => {
  /** What handling one item comes to, with a handler that throws `thrown` at its first attempt. */
  async function spansWhere(database: TestDatabase, thrown: unknown, options = {}) {
    await createItems(database)
    const core = database.core({ instrumentation, ...quick })
    onItem(core, options, ({ attempt }) => {
      if (attempt === 1) throw thrown
    })
    await core.install()
    await core.listen()
    await database.sql(insertItem, [1])
    await database.drained()
    return spansOf('process items')
  }

  test('is recorded, and each attempt has its span', async ({ database }) => {
    const [first, second] = await spansWhere(database, new RangeError('too far'))
    expect(first?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'too far' })
    expect(first?.attributes).toMatchObject({ 'error.type': 'RangeError', 'pgpubsub.attempt': 1 })
    expect(first?.events).toMatchObject([
      { name: 'exception', attributes: { 'exception.type': 'RangeError', 'exception.message': 'too far' } },
    ])
    expect(second?.status.code).toBe(SpanStatusCode.UNSET)
    expect(second?.attributes).toMatchObject({ 'pgpubsub.attempt': 2 })
  })

  test('is none where the handler discards its change', async ({ database }) => {
    const spans = await spansWhere(database, new Discard('not mine'))
    expect(spans.map(({ status, events }) => [status.code, events])).toEqual([[SpanStatusCode.UNSET, []]])
  })

  test.for([undefined, 'a text', Object.create(null), hostile()])('may be anything', async (thrown, { database }) => {
    const [first, second] = await spansWhere(database, thrown)
    expect(first?.status.code).toBe(SpanStatusCode.ERROR)
    expect(second?.status.code).toBe(SpanStatusCode.UNSET)
  })

  test('is that of its time limit, where it takes too long', async ({ database }) => {
    await createItems(database)
    const core = database.core({ instrumentation, ...quick })
    onItem(core, { timeoutMs: 10 }, ({ attempt, signal }) => attempt > 1 || new Promise(() => signal.aborted))
    await core.install()
    await core.listen()
    await database.sql(insertItem, [1])
    await database.drained()
    expect(spansOf('process items').map(({ status }) => status.message)).toEqual([
      expect.stringContaining('longer than its timeoutMs'),
      undefined,
    ])
  })
})

function hostile(): Error {
  return Object.defineProperty(new Error('x'), 'message', {
    get() {
      throw new Error('unreadable')
    },
  })
}

test('a list is handled in one span that links to all who wrote', async ({ database }) => {
  await createItems(database)
  const core = database.core({ instrumentation, ...quick })
  const failed = new Error('no luck')
  core.onChange({ name: 'items', table: 'item', order: 'none', batch: { size: 10, maxWaitMs: 60_000 } }, (changes) => {
    const [first] = changes
    if (first && changes.length === 10) throw new FailedChanges([[first, failed]])
  })
  await core.install()
  const pool = await core.openPool()
  const write = (id: number) => inSpan('request', () => pool.query(insertItem, [id]))
  const spans = await Promise.all(Array.from({ length: 9 }, (_, id) => write(id)))
  await database.sql(insertItem, [9])
  const worker = await core.listen()
  const [span] = await endedSpans('process items', 1)
  expect(linkedIds(span!).sort()).toEqual(spans.map(idOf).sort())
  expect(span?.links[0]?.attributes).toMatchObject({
    'messaging.message.id': expect.any(String),
    'pgpubsub.attempt': 1,
  })
  expect(span?.attributes).toMatchObject({ [conventions.ATTR_MESSAGING_BATCH_MESSAGE_COUNT]: 10 })
  expect(span?.attributes).not.toHaveProperty(conventions.ATTR_MESSAGING_MESSAGE_ID)
  expect(span?.status).toEqual({ code: SpanStatusCode.ERROR, message: 'no luck' })
  await worker.stop()
})

test('what is handled, failed, dead and discarded is counted by listener, and lag and times are measured', async ({
  database,
}) => {
  await createItems(database)
  const core = database.core({ instrumentation, ...quick })
  onItem(core, { name: 'counted', attempts: 2, order: 'none' }, ({ new: item }) => {
    if (item?.id === 1) throw new RangeError('always')
    if (item?.id === 2) throw new Discard('not mine')
  })
  await core.install()
  await database.sql('insert into item (id) select generate_series(1, 5)')
  await core.listen()
  await database.drained()
  await endedSpans('process counted', 6)
  const of = async (name: string) =>
    (await points(name)).filter(({ attributes }) => attributes['messaging.destination.name'] === 'counted')
  const values = async (name: string) => (await of(name)).map(({ value }) => value)
  await vi.waitFor(async () => expect(await values('pgpubsub.dead')).toEqual([1]))
  expect(await values('pgpubsub.handled')).toEqual([3])
  expect(await values('pgpubsub.failed')).toEqual([2])
  expect(await values('pgpubsub.discarded')).toEqual([1])
  expect(await values('pgpubsub.lag')).toEqual([5])
  expect((await values('pgpubsub.claim.duration'))[0]).toBeGreaterThan(1)
  const durations = await of(conventions.METRIC_MESSAGING_PROCESS_DURATION)
  expect(durations.map(({ attributes, value }) => [attributes['error.type'], value])).toEqual([
    ['RangeError', 2],
    [undefined, 4],
  ])
})

test('the option takes what openTelemetry() returns, and nothing else', ({ database }) => {
  expect(() => database.core({ instrumentation: openTelemetry as never })).toThrow(
    'instrumentation must be what openTelemetry() returns',
  )
})

test.for(['durable', 'broadcast'] as const)(
  'the span of a handler links to the span that published, %s',
  async (delivery, { database }) => {
    const core = database.core({ instrumentation, ...quick })
    const channel = core.channel('numbers', z.number())
    channel.on({ name: 'scan', delivery }, () => {})
    await core.install()
    await core.listen()
    const request = await inSpan('request', () => channel.publish(1))
    const [span] = await endedSpans('process scan', 1)
    expect(span?.links).toEqual([{ context: { ...request.spanContext(), isRemote: true } }])
  },
)

test('a traced write can be muted', async ({ database }) => {
  const handle = vi.fn()
  const prisma = await traced(database, handle)
  const create = () => prisma.media.create({ data: { url } })
  await inSpan('request', () => prisma.$pubsub.mute(create))
  await inSpan('request', create)
  await database.drained()
  expect(handle).toHaveBeenCalledTimes(1)
})
