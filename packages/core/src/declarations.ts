import type { Change, Context, ReplayChange } from './change.js'
import { Channel, type ChannelOptions, ChannelRegistry } from './channel.js'
import { checkCallback, checkListenerNames } from './check.js'
import { DeadLetters } from './consume/dead-letters.js'
import type { Queryable } from './database.js'
import { Events, type PubSubEvent, type PubSubEvents } from './events.js'
import type { Given, Replayed } from './given.js'
import type { Migration } from './install/migration.js'
import type { Instrumentation } from './instrumentation.js'
import { type Listener, ListenerRegistry } from './listener.js'
import { logEvents } from './log-events.js'
import { checkLogger, type Logger, quietLogger } from './logger.js'
import { type Observer, Observers } from './observers.js'
import type { ListenerDefaults } from './options.js'
import { currentContext, enterScope, openMutedScope, openScope, runInScope, traceWrites } from './publish/context.js'
import type { PubSubOptions, ResolvedPubSubOptions } from './pubsub-options.js'
import type { StandardSchema } from './standard-schema.js'
import { type JsonRow, type TableListenerOptions, tableListener } from './table-listener.js'

/** What a program says without asking the database: its listeners and channels, the context of its writes, who is told of what happens. */
export class Declarations {
  /** Schema of the engine's tables and functions. */
  readonly schema: string
  /** What holds for listeners that do not say otherwise. */
  readonly defaults: ListenerDefaults
  protected readonly listeners = new ListenerRegistry()
  protected readonly events: Events
  protected readonly instrumentation: Instrumentation | undefined
  protected logger: Logger
  readonly #channels = new ChannelRegistry()
  readonly #observers = new Observers()

  constructor({ logger, instrumentation }: PubSubOptions, { schema, defaults }: ResolvedPubSubOptions) {
    this.schema = schema
    this.defaults = defaults
    this.logger = logger ?? quietLogger
    this.events = new Events(() => this.logger)
    logEvents(this.events, () => this.logger)
    this.instrumentation = instrumentation
    instrumentation?.observe(this.events)
    if (instrumentation) traceWrites(instrumentation.currentTrace)
  }

  /** Declares a listener on a table. @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_DUPLICATE_LISTENER */
  onChange<const O extends TableListenerOptions>(
    options: O,
    handler: (given: Given<O, Change<JsonRow> | Replayed<O, ReplayChange<JsonRow>>, Queryable>) => unknown,
  ): void {
    this.declare(tableListener(options, handler as Listener['handler'], this.defaults))
  }

  /** `channel()` for transactions and values of another kind: the way in for adapters of ORMs. */
  channelIn<S extends StandardSchema, Transaction>(
    name: string,
    schema: S,
    options: Pick<ChannelOptions<Transaction>, 'database' | 'types'>,
  ): Channel<S, Transaction> {
    const { schema: engineSchema, defaults } = this
    const declare = (listener: Listener) => this.declare(listener)
    const channel = new Channel(name, schema, { ...options, engineSchema, defaults, declare })
    this.#channels.add(name, schema)
    return channel
  }

  /** `deadLetters` for transactions of another kind: the way in for adapters of ORMs. */
  deadLettersIn<Transaction>(
    database: (tx: Transaction | undefined) => Queryable | Promise<Queryable>,
  ): DeadLetters<Transaction> {
    return new DeadLetters(this.schema, database, (name) => this.listeners.find(name))
  }

  /**
   * Declares listeners whose options are resolved, all or none: the way in for adapters of ORMs.
   * @throws PGPUBSUB_DUPLICATE_LISTENER
   */
  declare(...listeners: readonly Listener[]): void {
    const { instrumentation } = this
    const instrumented = instrumentation ? listeners.map((listener) => ({ ...listener, instrumentation })) : listeners
    this.listeners.add(instrumented.map((listener) => this.#observers.observed(listener)))
  }

  /** Names of the listeners that are declared, or those given. @throws PGPUBSUB_UNKNOWN_LISTENER when one is not */
  declared(names?: readonly string[]): string[] {
    if (names !== undefined) checkListenerNames('this call', names)
    const listeners = names ? this.listeners.named(names) : this.listeners.all()
    return listeners.map(({ definition }) => definition.name)
  }

  /**
   * Calls `observer` with each change or message that the listener's handler is about to be given in this process: the way in for test
   * kits.
   * @returns a function that ends it
   */
  observe(listener: string, observer: Observer): () => void {
    return this.#observers.observe(listener, observer)
  }

  /**
   * What a folder of migrations lacks of what is declared on models. It asks no database.
   * @param migrations their SQL, in the order in which they are applied
   * @returns null where nothing is missing
   * @throws PGPUBSUB_INVALID_OPTION where a listener is declared on a table, not on a model; PGPUBSUB_NEWER_ENGINE
   */
  async migration(migrations: readonly string[]): Promise<Migration | null> {
    const { migration } = await import('./install/migration.js')
    return migration(this.schema, this.listeners.all(), migrations)
  }

  /** Runs `fn` with the context merged over the running one, stored with every change that it causes. */
  async withContext<T>(context: Context, fn: () => T | PromiseLike<T>): Promise<T> {
    checkCallback('withContext', fn)
    return runInScope(openScope(context), fn)
  }

  /**
   * Runs `fn`; what it writes is not stored for any listener, as in an import that nobody needs to hear of. Only for roles that
   * may: the owner of the engine, and who was granted `execute on function pgpubsub.mute()`; writes of others are stored.
   */
  async mute<T>(fn: () => T | PromiseLike<T>): Promise<T> {
    checkCallback('mute', fn)
    return runInScope(openMutedScope(), fn)
  }

  /** The context of the running request; `{}` outside of any. */
  context(): Context {
    return currentContext()
  }

  /**
   * Merges the context over the running one for the rest of the current asynchronous execution: for a program that does
   * one thing and ends. Not for a request: the execution may be its connection's, which others use after it.
   */
  enterContext(context: Context): void {
    enterScope(openScope(context))
  }

  /** Logs to `logger` from now on, instead of the one of the options: for a program that runs another module's client. */
  logTo(logger: Logger): void {
    this.logger = checkLogger(logger)
  }

  /** Subscribes to what the engine tells about itself. @returns a function that ends the subscription. @throws PGPUBSUB_INVALID_OPTION */
  on<E extends PubSubEvent>(event: E, handler: (payload: PubSubEvents[E]) => void): () => void {
    return this.events.on(event, handler)
  }
}
