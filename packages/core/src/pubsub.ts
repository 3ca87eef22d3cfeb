import type pg from 'pg'
import type { Change, Context, ReplayChange } from './change.js'
import { Channel, type ChannelOptions, ChannelRegistry } from './channel.js'
import { checkCallback, checkListenerName, checkListenerNames } from './check.js'
import { Connections } from './connections.js'
import { DeadLetters, transactionOr } from './consume/dead-letters.js'
import type { Processing } from './consume/processing.js'
import type { Worker } from './consume/worker.js'
import type { Queryable } from './database.js'
import { refuseBroadcasts, refuseToPause } from './delivery.js'
import type { Finding } from './doctor/finding.js'
import type { DoctorOptions } from './doctor/options.js'
import { Events, type PubSubEvent, type PubSubEvents } from './events.js'
import type { InstallReport } from './install/install.js'
import type { Migration } from './install/migration.js'
import type { Instrumentation } from './instrumentation.js'
import { chosenListeners, type ListenOptions } from './listen-options.js'
import { type Listener, ListenerRegistry } from './listener.js'
import { logEvents } from './log-events.js'
import { checkLogger, type Logger, quietLogger } from './logger.js'
import type { Reports } from './observe/reports.js'
import type { ListenerStatus } from './observe/status.js'
import { type Observer, Observers } from './observers.js'
import type { Given, ListenerDefaults, Replayed } from './options.js'
import {
  type ProcessOptions,
  type ProcessResult,
  type ResolvedProcessOptions,
  resolveProcessOptions,
} from './process-options.js'
import type { BackPressure, WaitForCapacityOptions } from './publish/back-pressure.js'
import { currentContext, enterScope, openMutedScope, openScope, runInScope, traceWrites } from './publish/context.js'
import { type ReplayOptions, type ReplayResult, resolveReplay } from './publish/replay-options.js'
import { type PubSubOptions, resolvePubSubOptions } from './pubsub-options.js'
import type { StandardSchema } from './standard-schema.js'
import { type JsonRow, type TableListenerOptions, tableListener } from './table-listener.js'

/**
 * The engine: declared listeners, their installation, workers and context. Framework-free. What a program that only writes
 * does not need is loaded when it is first asked for: workers, installation, doctor, and the driver itself.
 */
export class PubSub {
  /** Schema of the engine's tables and functions. */
  readonly schema: string
  /** What holds for listeners that do not say otherwise. */
  readonly defaults: ListenerDefaults
  /** What has used up its attempts: to be looked at, retried or discarded. */
  readonly deadLetters: DeadLetters
  readonly #connections: Connections
  readonly #listeners = new ListenerRegistry()
  readonly #observers = new Observers()
  readonly #channels = new ChannelRegistry()
  readonly #events: Events
  #reports: Promise<Reports> | undefined
  #backPressure: Promise<BackPressure> | undefined
  readonly #pollMs: number
  readonly #instrumentation: Instrumentation | undefined
  #logger: Logger
  /** Those that run, and those that are being started. */
  readonly #workers = new Set<Promise<Worker>>()
  readonly #processings = new Set<Processing>()
  /** How many listeners they consume together. */
  #consumers = 0

  /** @throws PGPUBSUB_INVALID_OPTION */
  constructor(options: PubSubOptions) {
    const { schema, defaults, pollMs, answerMs } = resolvePubSubOptions(options)
    this.schema = schema
    this.defaults = defaults
    this.#pollMs = pollMs
    this.#logger = options.logger ?? quietLogger
    this.#events = new Events(() => this.#logger)
    logEvents(this.#events, () => this.#logger)
    this.#connections = new Connections(options, answerMs, this.#events)
    this.#instrumentation = options.instrumentation
    this.#instrumentation?.observe(this.#events)
    if (this.#instrumentation) traceWrites(this.#instrumentation.currentTrace)
    this.deadLetters = this.deadLettersIn(transactionOr(() => this.openPool()))
  }

  /** {@link deadLetters} for transactions of another kind: the way in for adapters of ORMs. */
  deadLettersIn<Transaction>(
    database: (tx: Transaction | undefined) => Queryable | Promise<Queryable>,
  ): DeadLetters<Transaction> {
    return new DeadLetters(this.schema, database, (name) => this.#listeners.find(name))
  }

  /** Declares a listener on a table. @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_DUPLICATE_LISTENER */
  onChange<const O extends TableListenerOptions>(
    options: O,
    handler: (given: Given<O, Change<JsonRow> | Replayed<O, ReplayChange<JsonRow>>, Queryable>) => unknown,
  ): void {
    this.declare(tableListener(options, handler as Listener['handler'], this.defaults))
  }

  /**
   * A channel of messages that are not row changes. Declaring it again with the same schema gives the same channel.
   * @param name at most 63 bytes
   * @param schema what every payload must satisfy, when it is published and when it is handled: one of zod 4, or of any
   * other library that follows standardschema.dev
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_DUPLICATE_CHANNEL
   */
  channel<S extends StandardSchema>(name: string, schema: S): Channel<S> {
    return this.channelIn(name, schema, { database: transactionOr(() => this.openPool()), types: [] })
  }

  /** {@link channel} for transactions and values of another kind: the way in for adapters of ORMs. */
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

  /**
   * Declares listeners whose options are resolved, all or none: the way in for adapters of ORMs.
   * @throws PGPUBSUB_DUPLICATE_LISTENER
   */
  declare(...listeners: readonly Listener[]): void {
    const instrumentation = this.#instrumentation
    const instrumented = instrumentation ? listeners.map((listener) => ({ ...listener, instrumentation })) : listeners
    this.#listeners.add(instrumented.map((listener) => this.#observers.observed(listener)))
  }

  /** Names of the listeners that are declared, or those given. @throws PGPUBSUB_UNKNOWN_LISTENER when one is not */
  declared(names?: readonly string[]): string[] {
    if (names !== undefined) checkListenerNames('this call', names)
    const listeners = names ? this.#listeners.named(names) : this.#listeners.all()
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
   * Brings the database to what is declared: engine schema and triggers. Where nothing differs, nothing happens.
   * @throws PGPUBSUB_UNKNOWN_TABLE, PGPUBSUB_NOT_A_TABLE, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_NEWER_ENGINE, PGPUBSUB_LOCK_TIMEOUT
   */
  async install(): Promise<InstallReport> {
    const { install } = await import('./install/install.js')
    return install(await this.openPool(), this.schema, this.#definitions())
  }

  /** What {@link install} would do on an empty database, as SQL text that may be applied again over itself. */
  async sql(): Promise<string> {
    const { installSql } = await import('./install/install.js')
    return installSql(await this.openPool(), this.schema, this.#definitions())
  }

  /**
   * What a folder of migrations lacks of what is declared on models. It asks no database.
   * @param migrations their SQL, in the order in which they are applied
   * @returns null where nothing is missing
   * @throws PGPUBSUB_INVALID_OPTION where a listener is declared on a table, not on a model; PGPUBSUB_NEWER_ENGINE
   */
  async migration(migrations: readonly string[]): Promise<Migration | null> {
    const { migration } = await import('./install/migration.js')
    return migration(this.schema, this.#listeners.all(), migrations)
  }

  /**
   * Compares what is installed with what is declared: missing, outdated, disabled and orphaned triggers, and the engine's
   * version. It reads only. Where no listener is declared here, it goes by what is installed.
   * @returns empty where {@link install} would change nothing
   * @throws the driver's error when the server cannot be reached, or the role may not look
   */
  async check(): Promise<Finding[]> {
    const { check } = await import('./doctor/check.js')
    return check(await this.openPool(), this.schema, this.#definitions())
  }

  /**
   * Looks for what is wrong with the engine, its triggers, rights, queues and the server, or soon will be, and says what
   * to do about it. It reads only, and no queue to its end. Where no listener is declared here, it goes by what is
   * installed.
   * @returns the worst first; empty where all is well
   * @throws PGPUBSUB_INVALID_OPTION, and the driver's error when the server cannot be reached
   */
  async doctor(options: DoctorOptions = {}): Promise<Finding[]> {
    const { diagnose } = await import('./doctor/doctor.js')
    return diagnose(await this.openPool(), this.schema, this.#definitions(), options)
  }

  /**
   * Starts a worker: it handles what is waiting, then what comes, until it is stopped. Where its listeners are not installed
   * as they are declared, the log says so.
   * @throws PGPUBSUB_NO_LISTENERS, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED, and the driver's error when the
   * server cannot be reached
   */
  async listen(options: ListenOptions = {}): Promise<Worker> {
    const listeners = chosenListeners(this.#listeners, options)
    if (!this.#connections.canListen) refuseBroadcasts(listeners)
    const worker = this.#inBackground(() => this.#start(listeners))
    this.#workers.add(worker)
    const durable = listeners.filter(({ definition }) => definition.delivery === 'durable').length
    this.#consumers += durable
    const forget = () => {
      this.#workers.delete(worker)
      this.#consumers -= durable
    }
    worker.then(({ stopped }) => stopped.then(forget), forget)
    return worker
  }

  async #start(listeners: readonly Listener[]): Promise<Worker> {
    const { requireCurrentEngine } = await import('./install/current-engine.js')
    const { Worker } = await import('./consume/worker.js')
    const pool = await this.openPool()
    await requireCurrentEngine(pool, this.schema)
    const { warnOfDrift } = await import('./doctor/check.js')
    const definitions = listeners.map(({ definition }) => definition)
    await warnOfDrift(pool, this.schema, definitions, this.#logger)
    const batchPool = await this.#connections.openForBatches()
    await this.#makeRoom()
    return Worker.start({
      listeners,
      schema: this.schema,
      pool: batchPool,
      createListenClient: await this.#connections.listenClients(),
      events: this.#events,
      reports: await this.#openReports(),
      pollMs: this.#pollMs,
      statements: this.#connections.statements,
    })
  }

  /**
   * Handles what is ready, as a worker does, and returns: for a program that runs for a while, as a cron job or a serverless
   * function does. It ends when nothing is ready any more (what handlers have written meanwhile included), when
   * `max` attempts were made, or when `maxMs` have passed. Any number of these and of workers may run at once. There is no LISTEN
   * connection, and a list is not waited for to fill. What handlers throw is recorded, and tried again later.
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_NO_LISTENERS, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED, and the
   * driver's error when the server cannot be reached
   */
  async process(options: ProcessOptions = {}): Promise<ProcessResult> {
    const resolved = resolveProcessOptions(this.#listeners, options)
    this.#consumers += resolved.listeners.length
    try {
      return await this.#inBackground(() => this.#process(resolved))
    } finally {
      this.#consumers -= resolved.listeners.length
    }
  }

  async #process(options: ResolvedProcessOptions): Promise<ProcessResult> {
    const { requireCurrentEngine } = await import('./install/current-engine.js')
    const { Processing } = await import('./consume/processing.js')
    const pool = await this.openPool()
    await requireCurrentEngine(pool, this.schema)
    const batchPool = await this.#connections.openForBatches()
    await this.#makeRoom()
    const { schema } = this
    const { statements } = this.#connections
    const processing = new Processing({
      ...options,
      schema,
      pool,
      batchPool,
      events: this.#events,
      pollMs: this.#pollMs,
      statements,
    })
    this.#processings.add(processing)
    return processing.result.finally(() => this.#processings.delete(processing))
  }

  /** What the engine does by itself belongs to nobody's trace, whoever asks for it. */
  #inBackground<T>(work: () => T): T {
    return this.#instrumentation ? this.#instrumentation.inBackground(work) : work()
  }

  /** A batch holds a connection while its handlers run, and no listener may wait for another's. */
  async #makeRoom(): Promise<void> {
    const max = await this.#connections.makeRoom(this.#consumers)
    if (max === undefined || max > this.#consumers) return
    this.#logger.warn(
      { max, listeners: this.#consumers },
      'the pool has too few connections: each running listener holds one while its handlers run, and who else uses the pool waits. Raise its max.',
    )
  }

  /**
   * Pauses a listener: no worker of any process takes its notifications, until {@link resume}; what a worker has taken
   * already it still handles. Triggers go on storing.
   * @throws PGPUBSUB_INVALID_OPTION for one of broadcasts, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED
   */
  pause(listener: string): Promise<void> {
    return this.#setPaused(listener, true)
  }

  /** Ends {@link pause}. @throws PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED */
  resume(listener: string): Promise<void> {
    return this.#setPaused(listener, false)
  }

  async #setPaused(listener: string, paused: boolean): Promise<void> {
    checkListenerName(paused ? 'pause' : 'resume', listener)
    const { pauseListener } = await import('./consume/pause.js')
    const known = this.#listeners.find(listener)
    if (known) refuseToPause(known)
    const declared = known !== undefined
    return pauseListener(await this.openPool(), this.schema, listener, { paused, declared })
  }

  /**
   * What every listener has in the database, whether it is declared here or not: how much waits, runs, is dead, how old, how
   * fast. Cheap, whatever is stored: numbers above 10,000 are estimated. It locks nothing.
   * @throws PGPUBSUB_NOT_INSTALLED
   */
  async status(): Promise<ListenerStatus[]> {
    const { status } = await import('./observe/status.js')
    return status(await this.openPool(), this.schema)
  }

  /**
   * Waits while as many notifications of the listener are stored as its `highWaterMark`, until workers have brought them to
   * half of it. Call it before a write, and not inside of a transaction: it returns at once while there is capacity.
   *
   * A writer that is alone and asks before each write never stores more than the mark; several may exceed it a little, since
   * an answer holds for at least 25 ms.
   * @throws PGPUBSUB_INVALID_OPTION where there is no `highWaterMark`, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED,
   * PGPUBSUB_TIMEOUT after `timeoutMs`, PGPUBSUB_CLOSED at `close()`, the signal's reason when it aborts
   */
  async waitForCapacity(listener: string, options: WaitForCapacityOptions = {}): Promise<void> {
    checkListenerName('waitForCapacity', listener)
    const backPressure = await this.#openBackPressure()
    return backPressure.wait(listener, this.#highWaterMark(listener), options)
  }

  #highWaterMark(listener: string): number | null | undefined {
    return this.#listeners.find(listener)?.consume.highWaterMark
  }

  async #observeCapacity(listener: string): Promise<void> {
    const highWaterMark = this.#highWaterMark(listener)
    if (highWaterMark) await (await this.#openBackPressure()).observe(listener, highWaterMark)
  }

  /**
   * Gives rows of a table to one listener's handler, as changes with the operation `'replay'`: to build anew what it keeps. They are
   * stored in the order of the table's key, each batch in a transaction of its own, with the running context; `when` and
   * `columns` of the listener do not choose among them. A row is never older than what was stored of it before.
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_UNKNOWN_TABLE,
   * PGPUBSUB_NOT_INSTALLED; PGPUBSUB_REPLAY_FAILED on its way, as a `ReplayError` that tells from where to go on
   */
  replay(options: ReplayOptions): Promise<ReplayResult> {
    return this.replayOf(undefined, options)
  }

  /** {@link replay} of what the listener must be on, with filters of another kind: the way in for adapters of ORMs. */
  async replayOf(source: string | undefined, options: ReplayOptions<unknown>): Promise<ReplayResult> {
    const find = (name: string) => this.#listeners.named([name])[0] as Listener
    const resolved = resolveReplay(find, options, source)
    const { replay } = await import('./publish/replay.js')
    const { signal, listener } = resolved
    const { name } = listener.definition
    const capacityFor = async (writes: number) => {
      const backPressure = await this.#openBackPressure()
      await backPressure.wait(name, listener.consume.highWaterMark, signal ? { signal } : {}, writes)
    }
    return replay({ schema: this.schema, pool: await this.openPool(), capacityFor }, resolved)
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
    this.#logger = checkLogger(logger)
  }

  /** Subscribes to what the engine tells about itself. @returns a function that ends the subscription. @throws PGPUBSUB_INVALID_OPTION */
  on<E extends PubSubEvent>(event: E, handler: (payload: PubSubEvents[E]) => void): () => void {
    return this.#events.on(event, handler)
  }

  /** Stops all workers and every {@link process}, ends every {@link waitForCapacity}, and closes the connections that this object has opened. */
  async close(): Promise<void> {
    void this.#backPressure?.then((backPressure) => backPressure.close())
    const processings = [...this.#processings].map((processing) => processing.stop())
    const workers = await Promise.allSettled(this.#workers)
    await Promise.all(workers.map((worker) => worker.status === 'fulfilled' && worker.value.stop()))
    await Promise.all(processings)
    await this.#connections.end()
  }

  /** The pool given, or one of its own, opened when it is first needed. */
  openPool(): Promise<pg.Pool> {
    return this.#connections.open()
  }

  #openReports(): Promise<Reports> {
    this.#reports ??= import('./observe/reports.js').then(
      ({ Reports }) => new Reports({ ...this.#shared(), onReport: (listener) => this.#observeCapacity(listener) }),
    )
    return this.#reports
  }

  #openBackPressure(): Promise<BackPressure> {
    const isDeclared = (name: string) => this.#listeners.find(name) !== undefined
    this.#backPressure ??= import('./publish/back-pressure.js').then(
      ({ BackPressure }) => new BackPressure({ ...this.#shared(), isDeclared }),
    )
    return this.#backPressure
  }

  #shared() {
    return { schema: this.schema, pool: () => this.openPool(), events: this.#events }
  }

  #definitions() {
    return this.#listeners.all().map((listener) => listener.definition)
  }
}
