import { PubSub, PubSubError, type PubSubOptions } from '@pgpubsub/core'
import { prismaTransactions } from './batch-transaction.js'
import { type ClientInternals, readModels } from './data-model.js'
import { listenerDecorator } from './decorator.js'
import { type FamilyMethod, type LooseOptions, modelListener } from './model-listener.js'
import { Prisma } from './prisma.js'
import { PubSubClient } from './pubsub-client.js'
import { type RawClient, RequestContext, type RootClient } from './request-context.js'
import type { ListenMethod } from './types.js'

/**
 * The Prisma Client extension: listeners on every model, `prisma.$pubsub`, and the context of the request in every
 * write.
 * @example
 * const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString }) }).$extends(pubsub({ connectionString }))
 * @throws PGPUBSUB_INVALID_OPTION
 */
export function pubsub(options: PubSubOptions) {
  const engine = new PubSub(options)
  return Prisma.defineExtension((client) => {
    const base = client as unknown as RootClient & ClientInternals
    const models = readModels(base)
    const context = new RequestContext(base)
    const declareOn = <M extends FamilyMethod>(method: M) =>
      function (this: unknown, ...call: [nameOrOptions?: string | LooseOptions, handler?: unknown]) {
        const [nameOrOptions = {}, handler] = call
        const { $name: name, $parent: parent } = modelOf(method, this)
        const model = models.get(name)
        if (!model) throw new Error(`Prisma calls this model ${name}, and its data model does not have it.`)
        const given = typeof nameOrOptions === 'string' ? { name: nameOrOptions } : nameOrOptions
        // the client that was extended last, as far as a model can tell
        const transactions = prismaTransactions(() => (parent === base ? root() : parent))
        const resolve = (fallbackName: string, toCall: unknown) => ({
          ...modelListener(method, model, given, fallbackName, toCall, engine.defaults),
          transactions,
        })
        // whether there is a handler is what was written, not what it is: an import cycle makes it undefined
        if (call.length > 1) return engine.declare(resolve(nameOf(handler), handler))
        resolve('a decorated method', () => {}) // what is wrong is said here, and not when an instance is registered
        return listenerDecorator(method, engine, resolve)
      }
    const root = () => extended as unknown as RootClient
    const extended = client.$extends({
      name: 'pgpubsub',
      model: {
        $allModels: {
          /**
           * After an insert or an update. The handler is given `old`, null on insert, and `new`.
           * @example
           * prisma.media.onPostSave('scan-media', async ({ old, new: media }) => { if (!old) await scan(media.url) })
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPostSave: declareOn('onPostSave') as ListenMethod<'save'>,
          /**
           * After an insert. The handler is given `new`; `old` is null.
           * @example
           * prisma.media.onPostInsert('welcome', async ({ new: user, context }) => welcome(user.email, context.userId))
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPostInsert: declareOn('onPostInsert') as ListenMethod<'insert'>,
          /**
           * After an update that changed something. The handler is given `old`, `new`, and the names of the fields that `changed`.
           * @example
           * prisma.media.onPostUpdate('reindex', async ({ changed, new: media }) => { if (changed.includes('title')) await index(media) })
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPostUpdate: declareOn('onPostUpdate') as ListenMethod<'update'>,
          /**
           * After a delete, cascades included. The handler is given `old`; `new` is null.
           * @example
           * prisma.media.onPostDelete('remove-file', async ({ old: media }) => unlink(media.url))
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPostDelete: declareOn('onPostDelete') as ListenMethod<'delete'>,
          /**
           * After an insert, an update or a delete. The `operation` says which, and with it which of `old` and `new` is null.
           * @example
           * prisma.media.onPostChange('audit', async ({ operation, old, new: media }) => record(operation, old ?? media))
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPostChange: declareOn('onPostChange') as ListenMethod<'change'>,
          /**
           * Before an insert or an update: records it; it cannot alter or cancel it. The handler is given what `onPostSave` gives.
           * @example
           * prisma.media.onPreSave('draft', async ({ new: media }) => note(media.id))
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPreSave: declareOn('onPreSave') as ListenMethod<'save'>,
          /**
           * Before an insert; also one that `on conflict` then turns into something else. The handler is given `new`.
           * @example
           * prisma.media.onPreInsert('attempted', async ({ new: media }) => note(media.url))
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPreInsert: declareOn('onPreInsert') as ListenMethod<'insert'>,
          /**
           * Before an update that changes something. The handler is given `old` and `new`.
           * @example
           * prisma.media.onPreUpdate('touched', async ({ old, new: media }) => note(old.title, media.title))
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPreUpdate: declareOn('onPreUpdate') as ListenMethod<'update'>,
          /**
           * Before a delete; it cannot cancel it. The handler is given `old`.
           * @example
           * prisma.media.onPreDelete('going', async ({ old: media }) => note(media.id))
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onPreDelete: declareOn('onPreDelete') as ListenMethod<'delete'>,
          /**
           * After `TRUNCATE` of the table. No rows are given: `old` and `new` are null.
           * @example
           * prisma.media.onTruncate('emptied', async ({ context }) => rebuild(context))
           * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_DUPLICATE_LISTENER
           */
          onTruncate: declareOn('onTruncate') as ListenMethod<'truncate'>,
        },
      },
      query: {
        $allOperations: (call) => context.operation(call),
      },
      // $transaction keeps the type it has
      client: { $pubsub: new PubSubClient(engine, root), $transaction: transactions(base, context) } as {
        /** Installation, workers and context. */
        $pubsub: PubSubClient
      },
    })
    return extended
  })
}

/** What Prisma tells a method of a model. `$parent`: the client that the model's client extends. */
interface ModelContext {
  readonly $name: string
  readonly $parent: RootClient
}

/** @throws PGPUBSUB_INVALID_OPTION where the method was taken off its model. */
function modelOf(method: FamilyMethod, delegate: unknown): ModelContext {
  const context = delegate && Prisma.getExtensionContext(delegate)
  if (context) return context as unknown as ModelContext
  throw new PubSubError(
    'PGPUBSUB_INVALID_OPTION',
    `${method} was called without its model, which it needs to know: call it as in prisma.media.${method}(…).`,
  )
}

const nameOf = (handler: unknown): string => (typeof handler === 'function' ? handler.name : '')

/** `$transaction` in both of its forms, with the context of the request, and on whichever client it is called. */
function transactions(base: RootClient, context: RequestContext) {
  return function $transaction(this: unknown, work: unknown, options?: unknown): Promise<unknown> {
    const begin = (given: unknown) => base.$transaction.call(this, given, options) as Promise<never>
    if (typeof work !== 'function') return context.batch(begin, work as unknown[])
    return context.interactive(begin, work as (tx: RawClient) => Promise<unknown>)
  }
}
