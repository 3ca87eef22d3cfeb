import type { Context, Logger, Migration, PubSub, PubSubEvent, PubSubEvents, StandardSchema } from '@pgpubsub/core'
import { PrismaChannel } from './channel.js'
import { decoratedListeners } from './decorator.js'
import type { RootClient } from './request-context.js'

/** The command line has one without a client, on which nothing is declared. */
const noClient = (): never => {
  throw new Error('There is no client of Prisma here.')
}

/** What a program says without asking the database: its listeners and channels, the context of its writes, who is told of what happens. */
export class ClientDeclarations {
  readonly #engine: PubSub
  readonly #client: () => RootClient

  constructor(engine: PubSub, client: () => RootClient = noClient) {
    this.#engine = engine
    this.#client = client
  }

  /**
   * Declares the listeners of the instance's decorated methods, or of the static ones of a class: all of them or none.
   * @example
   * prisma.$pubsub.register(new MediaListeners())
   * @throws PGPUBSUB_NO_LISTENERS, PGPUBSUB_DUPLICATE_LISTENER
   */
  register(instance: object): void {
    this.#engine.declare(...decoratedListeners(instance, this.#engine))
  }

  /**
   * A channel of messages that are not row changes. Declaring it again with the same schema gives the same channel.
   * @param name at most 63 bytes
   * @param schema what every payload must satisfy, when it is published and when it is handled: a schema of zod 4, or of any
   * other library that follows standardschema.dev
   * @example
   * const scanned = prisma.$pubsub.channel('media.scanned', z.object({ mediaId: z.number(), at: z.date() }))
   * scanned.on('mail-owner', async ({ payload }) => mailOwner(payload.mediaId))
   * await prisma.$transaction(async (tx) => scanned.publish({ mediaId: 1, at: new Date() }, { tx }))
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_DUPLICATE_CHANNEL
   */
  channel<S extends StandardSchema>(name: string, schema: S): PrismaChannel<S> {
    return new PrismaChannel(this.#engine, this.#client, name, schema)
  }

  /**
   * Runs `fn`, and awaits it; every change that it causes is stored with the context, merged over the running one.
   * @example
   * await prisma.$pubsub.withContext({ userId: 7 }, () => prisma.media.create({ data }))
   * @throws PGPUBSUB_INVALID_CONTEXT when it is not an object of JSON values, PGPUBSUB_INVALID_OPTION when `fn` is no function
   */
  withContext<T>(context: Context, fn: () => T | PromiseLike<T>): Promise<T> {
    return this.#engine.withContext(context, fn)
  }

  /**
   * Runs `fn`, and awaits it; what it writes is stored for no listener, in every form of transaction, and also inside of
   * `withContext`. Only for roles that may: the owner of the engine, and who was granted `execute on function
   * pgpubsub.mute()`. What others write is stored.
   * @example
   * await prisma.$pubsub.mute(() => prisma.media.createMany({ data: imported }))
   * @throws PGPUBSUB_INVALID_OPTION when `fn` is no function
   */
  mute<T>(fn: () => T | PromiseLike<T>): Promise<T> {
    return this.#engine.mute(fn)
  }

  /** The running context; `{}` where none is set. */
  context(): Context {
    return this.#engine.context()
  }

  /**
   * Merges the context over the running one for the rest of the current asynchronous execution: for a program that does
   * one thing and ends. Not for a request: the execution may be its connection's, and the next request on that would begin
   * with this one's context. Use `withContext` around what handles it.
   * @throws PGPUBSUB_INVALID_CONTEXT
   */
  enterContext(context: Context): void {
    this.#engine.enterContext(context)
  }

  /**
   * Logs to `logger` from now on, instead of the one given to `pubsub()`: for a program that runs another module's client.
   * @throws PGPUBSUB_INVALID_OPTION when it lacks a method
   */
  logTo(logger: Logger): void {
    this.#engine.logTo(logger)
  }

  /**
   * Subscribes to what the engine tells about itself in this process. A handler that throws is logged, and harms nobody.
   * @returns a function that ends the subscription
   * @example
   * prisma.$pubsub.on('failed', ({ listener, id, error, dead }) => dead && alert(`${listener} gave up on ${id}`, error))
   * @throws PGPUBSUB_INVALID_OPTION at an event that there is not
   */
  on<E extends PubSubEvent>(event: E, handler: (payload: PubSubEvents[E]) => void): () => void {
    return this.#engine.on(event, handler)
  }

  /**
   * What a folder of migrations lacks of what is declared, for `pgpubsub migrate`. It asks no database.
   * @param migrations the SQL of its migrations, in the order in which they are applied
   * @returns null where nothing is missing
   * @throws PGPUBSUB_NEWER_ENGINE
   */
  migration(migrations: readonly string[]): Promise<Migration | null> {
    return this.#engine.migration(migrations)
  }
}
