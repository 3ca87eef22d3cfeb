import type pg from 'pg'
import type { Channel } from './channel.js'
import { checkListenerName } from './check.js'
import { Connections, closedError } from './connections.js'
import { type DeadLetters, transactionOr } from './consume/dead-letters.js'
import type { Worker } from './consume/worker.js'
import { Declarations } from './declarations.js'
import { refuseBroadcasts, refuseToPause } from './delivery.js'
import type { Finding } from './doctor/finding.js'
import type { DoctorOptions } from './doctor/options.js'
import type { InstallReport } from './install/install.js'
import { chosenListeners, type ListenOptions } from './listen-options.js'
import type { Listener } from './listener.js'
import type { ListenerStatus } from './observe/status.js'
import { type ProcessOptions, type ProcessResult, resolveProcessOptions } from './process-options.js'
import type { BackPressure, WaitForCapacityOptions } from './publish/back-pressure.js'
import type { ReplayOptions, ReplayResult } from './publish/replay-options.js'
import { type PubSubOptions, resolvePubSubOptions } from './pubsub-options.js'
import type { Running } from './running.js'
import type { StandardSchema } from './standard-schema.js'

/**
 * The engine: declared listeners, their installation, workers and context. Framework-free. What a program that only writes
 * does not need is loaded when it is first asked for: workers, installation, doctor, and the driver itself.
 */
export class PubSub extends Declarations {
  /** What has used up its attempts: to be looked at, retried or discarded. */
  readonly deadLetters: DeadLetters
  readonly #connections: Connections
  readonly #pollMs: number
  #running: Promise<Running> | undefined
  #backPressure: Promise<BackPressure> | undefined
  #closed: Promise<void> | undefined

  /** @throws PGPUBSUB_INVALID_OPTION */
  constructor(options: PubSubOptions) {
    const resolved = resolvePubSubOptions(options)
    super(options, resolved)
    this.#pollMs = resolved.pollMs
    this.#connections = new Connections(options, resolved.answerMs, this.events)
    this.deadLetters = this.deadLettersIn(transactionOr(() => this.openPool()))
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

  /**
   * Brings the database to what is declared: engine schema and triggers. Where nothing differs, nothing happens.
   * @throws PGPUBSUB_UNKNOWN_TABLE, PGPUBSUB_NOT_A_TABLE, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_NEWER_ENGINE, PGPUBSUB_LOCK_TIMEOUT
   */
  async install(): Promise<InstallReport> {
    const { install } = await import('./install/install.js')
    return install(await this.openPool(), this.schema, this.listeners.definitions())
  }

  /** What {@link install} would do on an empty database, as SQL text that may be applied again over itself. */
  async sql(): Promise<string> {
    const { installSql } = await import('./install/install.js')
    return installSql(await this.openPool(), this.schema, this.listeners.definitions())
  }

  /**
   * Compares what is installed with what is declared: missing, outdated, disabled and orphaned triggers, and the engine's
   * version. It reads only. Where no listener is declared here, it goes by what is installed.
   * @returns empty where {@link install} would change nothing
   * @throws the driver's error when the server cannot be reached, or the role may not look
   */
  async check(): Promise<Finding[]> {
    const { check } = await import('./doctor/check.js')
    return check(await this.openPool(), this.schema, this.listeners.definitions())
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
    return diagnose(await this.openPool(), this.schema, this.listeners.definitions(), options)
  }

  /**
   * Starts a worker: it handles what is waiting, then what comes, until it is stopped. Where its listeners are not installed
   * as they are declared, the log says so.
   * @throws PGPUBSUB_NO_LISTENERS, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED, and the driver's error when the
   * server cannot be reached
   */
  async listen(options: ListenOptions = {}): Promise<Worker> {
    this.#requireOpen()
    const listeners = chosenListeners(this.listeners, options)
    if (!this.#connections.canListen) refuseBroadcasts(listeners)
    return (await this.#openRunning()).listen(listeners)
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
    this.#requireOpen()
    const resolved = resolveProcessOptions(this.listeners, options)
    return (await this.#openRunning()).process(resolved)
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
    const known = this.listeners.find(listener)
    if (known) refuseToPause(known)
    const { pauseListener } = await import('./consume/pause.js')
    return pauseListener(await this.openPool(), this.schema, listener, { paused, declared: known !== undefined })
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
    this.#requireOpen()
    const backPressure = await this.#openBackPressure()
    return backPressure.wait(listener, this.#highWaterMark(listener), options)
  }

  #highWaterMark(listener: string): number | null | undefined {
    return this.listeners.find(listener)?.consume.highWaterMark
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
    const { resolveReplay } = await import('./publish/replay-options.js')
    const find = (name: string) => this.listeners.named([name])[0] as Listener
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

  /**
   * Stops all workers and every {@link process}, ends every {@link waitForCapacity}, and closes the connections that this object
   * has opened. What asks the database is refused from then on, with PGPUBSUB_CLOSED.
   */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  /** What runs still has its connections until it has ended, and nothing else begins. */
  #requireOpen(): void {
    if (this.#closed) throw closedError()
  }

  async #close(): Promise<void> {
    void this.#backPressure?.then((backPressure) => backPressure.close())
    await (await this.#running)?.close()
    await this.#connections.end()
  }

  /** The pool given, or one of its own, opened when it is first needed. @throws PGPUBSUB_CLOSED */
  openPool(): Promise<pg.Pool> {
    return this.#connections.open()
  }

  #openRunning(): Promise<Running> {
    const options = {
      schema: this.schema,
      connections: this.#connections,
      events: this.events,
      pollMs: this.#pollMs,
      logger: () => this.logger,
      instrumentation: this.instrumentation,
      onReport: (listener: string) => this.#observeCapacity(listener),
    }
    this.#running ??= import('./running.js').then(({ Running }) => new Running(options))
    return this.#running
  }

  #openBackPressure(): Promise<BackPressure> {
    const isDeclared = (name: string) => this.listeners.find(name) !== undefined
    const options = { schema: this.schema, events: this.events, pool: () => this.openPool(), isDeclared }
    this.#backPressure ??= import('./publish/back-pressure.js').then(({ BackPressure }) => new BackPressure(options))
    return this.#backPressure
  }
}
