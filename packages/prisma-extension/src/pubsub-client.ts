import {
  type DeadLetters,
  type DoctorOptions,
  type Finding,
  type InstallReport,
  type ListenerStatus,
  type ListenOptions,
  type ProcessOptions,
  type ProcessResult,
  type PubSub,
  PubSubError,
  type ReplayOptions,
  type ReplayResult,
  type WaitForCapacityOptions,
  type Worker,
} from '@pgpubsub/core'
import { ClientDeclarations } from './client-declarations.js'
import { type PrismaTransaction, prismaDeadLetters } from './dead-letters.js'
import { Prisma } from './prisma.js'
import type { RootClient } from './request-context.js'
import type { Filter } from './types.js'

function modelName(model: unknown): string {
  const name = typeof model === 'object' && model ? Prisma.getExtensionContext(model).$name : model
  if (typeof name === 'string') return name
  throw new PubSubError(
    'PGPUBSUB_INVALID_OPTION',
    'replay takes a model: its delegate, like prisma.media, or its name.',
  )
}

/** The engine behind a client: for what is told of it elsewhere in this package. */
export let engineOf: (client: PubSubClient) => PubSub

/** `prisma.$pubsub`: installation, workers and context. Listeners are declared on the models. */
export class PubSubClient extends ClientDeclarations {
  /**
   * What has used up its attempts: `list`, `retry`, `discard`, each in a transaction of yours where you give it.
   * @example
   * await prisma.$transaction((tx) => prisma.$pubsub.deadLetters.discard({ listener: 'scan-media' }, { tx }))
   */
  readonly deadLetters: DeadLetters<PrismaTransaction>
  readonly #engine: PubSub

  static {
    engineOf = (client) => client.#engine
  }

  /** @param client the extended one, whose transactions the transactional handlers of channels are given */
  constructor(engine: PubSub, client?: () => RootClient) {
    super(engine, client)
    this.#engine = engine
    this.deadLetters = prismaDeadLetters(engine)
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

  /**
   * The same as SQL text, for a migration or a review. It may be applied again, over itself.
   * @throws PGPUBSUB_UNKNOWN_TABLE, PGPUBSUB_NOT_A_TABLE, PGPUBSUB_UNKNOWN_COLUMN
   */
  sql(): Promise<string> {
    return this.#engine.sql()
  }

  /**
   * Compares what is installed with what is declared: missing, outdated, disabled and orphaned triggers, and the engine's
   * version. It reads only.
   * @returns empty where `install()` would change nothing
   * @example
   * if ((await prisma.$pubsub.check()).length > 0) throw new Error('run pgpubsub migrate, and deploy')
   * @throws the driver's error when the server cannot be reached, or the role may not look
   */
  check(): Promise<Finding[]> {
    return this.#engine.check()
  }

  /**
   * Looks for what is wrong with the engine, its triggers, rights, queues and the server, or soon will be, and says what
   * to do about it. It reads only, and no queue to its end.
   * @returns the worst first; empty where all is well
   * @example
   * for (const { severity, subject, message, remedy } of await prisma.$pubsub.doctor()) console.warn(severity, subject, message, remedy)
   * @throws PGPUBSUB_INVALID_OPTION, and the driver's error when the server cannot be reached
   */
  doctor(options?: DoctorOptions): Promise<Finding[]> {
    return this.#engine.doctor(options)
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
   * Handles what is ready, as a worker does, and returns: for a cron job or a serverless function. It ends when nothing is ready
   * any more (what handlers have written meanwhile included), when `max` attempts were made, or when `maxMs` have passed. Any
   * number of these and of workers may run at once. What handlers throw is recorded, and tried again later.
   * @returns how many attempts were made, and how many changes could still be handled at once
   * @example
   * const { processed, remaining } = await prisma.$pubsub.process({ max: 500, maxMs: 20_000 })
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_NO_LISTENERS, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED, and the
   * driver's error when the server cannot be reached
   */
  process(options?: ProcessOptions): Promise<ProcessResult> {
    return this.#engine.process(options)
  }

  /**
   * Pauses a listener: no worker of any process takes its changes until `resume`, and they go on being stored. What a
   * worker has taken already it still handles. Kept in the database, also for workers that start later.
   * @throws PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED
   */
  pause(listener: string): Promise<void> {
    return this.#engine.pause(listener)
  }

  /** Ends the pause of a listener: its workers go on at once. @throws PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED */
  resume(listener: string): Promise<void> {
    return this.#engine.resume(listener)
  }

  /**
   * What every listener has in the database, whether it is declared here or not: how much waits, runs, is dead, how old, how
   * fast. Cheap, whatever is stored: numbers above 10,000 are estimated. It locks nothing.
   * @example
   * for (const { listener, ready, oldestAgeMs } of await prisma.$pubsub.status()) console.log(listener, ready, oldestAgeMs)
   * @throws PGPUBSUB_NOT_INSTALLED
   */
  status(): Promise<ListenerStatus[]> {
    return this.#engine.status()
  }

  /**
   * Waits while as many changes of the listener are stored as its `highWaterMark`, until workers have brought them to half of
   * it. Call it before a write, and not inside of a transaction: it returns at once while there is capacity.
   *
   * A writer that is alone and asks before each write never stores more than the mark; several may exceed it a little, since
   * an answer holds for at least 25 ms.
   * @example
   * await prisma.$pubsub.waitForCapacity('scan-media', { timeoutMs: 30_000 })
   * @throws PGPUBSUB_INVALID_OPTION where there is no `highWaterMark`, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED,
   * PGPUBSUB_TIMEOUT after `timeoutMs`, PGPUBSUB_CLOSED at `close()`, the signal's reason when it aborts
   */
  waitForCapacity(listener: string, options?: WaitForCapacityOptions): Promise<void> {
    return this.#engine.waitForCapacity(listener, options)
  }

  /**
   * Gives rows of a model to one listener's handler, as changes with the operation `'replay'`: to build a search index anew, say. The
   * listener is declared with `replay: true`. Rows are stored in the order of their keys, each batch in a transaction of its
   * own, with the running context; `when` and `columns` of the listener do not choose among them. A row is never older
   * than what was stored of it before. The model is a delegate or its name; without it, it is the one that the listener is on.
   * @example
   * const { stored } = await prisma.$pubsub.replay(prisma.media, { listener: 'index-media', where: { status: 'Clean' } })
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_UNKNOWN_TABLE,
   * PGPUBSUB_NOT_INSTALLED; PGPUBSUB_REPLAY_FAILED on its way, with `last`, from where to go on
   */
  replay(options: ReplayOptions<object>): Promise<ReplayResult>
  replay(model: string, options: ReplayOptions<object>): Promise<ReplayResult>
  replay<T extends object>(model: T, options: ReplayOptions<Filter<T>>): Promise<ReplayResult>
  async replay(...given: [unknown, unknown?]): Promise<ReplayResult> {
    const [model, options] = given.length > 1 ? given : [undefined, given[0]]
    return this.#engine.replayOf(given.length > 1 ? modelName(model) : undefined, options as ReplayOptions<object>)
  }

  /**
   * Stops all workers and every `process` of this client, and closes the engine's own connections. Prisma's are not touched. What asks
   * the engine's database is refused from then on, with PGPUBSUB_CLOSED; Prisma's writes go on, and are stored.
   */
  close(): Promise<void> {
    return this.#engine.close()
  }
}
