import {
  type Context,
  currentContext,
  type InstallReport,
  type ListenOptions,
  type PubSub,
  type PubSubEvent,
  type PubSubEvents,
  type Worker,
} from '@pgpubsub/core'
import { registerDecorated } from './decorator.js'
import type { RequestContext } from './request-context.js'

/** `prisma.$pubsub`: installation, workers and context. Listeners are declared on the models. */
export class PubSubClient {
  readonly #engine: PubSub
  readonly #context: RequestContext

  constructor(engine: PubSub, context: RequestContext) {
    this.#engine = engine
    this.#context = context
  }

  /**
   * Brings the database to what is declared: the engine's schema by its migrations, then one trigger per listener and
   * operation. Many processes may do it at once; where nothing differs, nothing is locked and nothing written. Triggers
   * of listeners that are not declared any more are dropped.
   * @throws PGPUBSUB_UNKNOWN_TABLE, PGPUBSUB_NOT_A_TABLE, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_NEWER_ENGINE, PGPUBSUB_LOCK_TIMEOUT
   */
  install(): Promise<InstallReport> {
    return this.#engine.install()
  }

  /** The same as SQL text, for a migration or a review. It may be applied again, over itself. */
  sql(): Promise<string> {
    return this.#engine.sql()
  }

  /**
   * Starts a worker: it handles what is waiting, then what comes, until `worker.stop()`.
   * @example
   * await using worker = await prisma.$pubsub.listen({ listeners: ['scan-media'] })
   * @throws PGPUBSUB_NO_LISTENERS, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED
   */
  listen(options?: ListenOptions): Promise<Worker> {
    return this.#engine.listen(options)
  }

  /**
   * Runs `fn`, and awaits it; every change that it causes is stored with the context, merged over the running one.
   * @example
   * await prisma.$pubsub.withContext({ userId: 7 }, () => prisma.media.create({ data }))
   * @throws PGPUBSUB_INVALID_CONTEXT when it is not an object of JSON values
   */
  withContext<T>(context: Context, fn: () => T | PromiseLike<T>): Promise<T> {
    return this.#context.with(context, fn)
  }

  /** The running context; `{}` where none is set. */
  context(): Context {
    return currentContext()
  }

  /**
   * Merges the context over the running one for the rest of the current asynchronous execution: for a middleware that
   * has no function to wrap. Not inside a running interactive transaction.
   * @throws PGPUBSUB_INVALID_CONTEXT
   */
  enterContext(context: Context): void {
    this.#context.enter(context)
  }

  /** Declares the listeners of the instance's decorated methods. @throws PGPUBSUB_NO_LISTENERS, PGPUBSUB_DUPLICATE_LISTENER */
  register(instance: object): void {
    registerDecorated(instance)
  }

  /** Subscribes to what the engine tells about itself. @returns a function that ends the subscription. */
  on<E extends PubSubEvent>(event: E, handler: (payload: PubSubEvents[E]) => void): () => void {
    return this.#engine.on(event, handler)
  }

  /** Stops all workers of this client and closes the engine's own connections. Prisma's are not touched. */
  close(): Promise<void> {
    return this.#engine.close()
  }
}
