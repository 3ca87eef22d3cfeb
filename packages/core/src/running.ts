import type { Connections } from './connections.js'
import type { Processing } from './consume/processing.js'
import type { Worker } from './consume/worker.js'
import type { Queryable } from './database.js'
import type { Events } from './events.js'
import type { Instrumentation } from './instrumentation.js'
import type { Listener } from './listener.js'
import type { Logger } from './logger.js'
import type { Reports } from './observe/reports.js'
import type { ProcessResult, ResolvedProcessOptions } from './process-options.js'

export interface RunningOptions {
  readonly schema: string
  readonly connections: Connections
  readonly events: Events
  readonly pollMs: number
  readonly logger: () => Logger
  readonly instrumentation: Instrumentation | undefined
  /** Called with each report of a worker, for every listener that it consumes. */
  readonly onReport: (listener: string) => Promise<void>
}

/** What runs in this process for one `PubSub`: its workers, and its calls of `process()`. */
export class Running {
  readonly #options: RunningOptions
  /** Those that run, and those that are being started. */
  readonly #workers = new Set<Promise<Worker>>()
  readonly #processings = new Set<Processing>()
  /** Calls of `process()`, those that are being started among them. */
  readonly #calls = new Set<Promise<unknown>>()
  #closing = false
  /** How many listeners they consume together. */
  #consumers = 0
  #reports: Promise<Reports> | undefined

  constructor(options: RunningOptions) {
    this.#options = options
  }

  /** Starts a worker. */
  listen(listeners: readonly Listener[]): Promise<Worker> {
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
    const { schema, connections, events, pollMs, logger } = this.#options
    const pool = await connections.open()
    await requireCurrentEngine(pool, schema)
    const { warnOfDrift } = await import('./doctor/check.js')
    const definitions = listeners.map(({ definition }) => definition)
    await warnOfDrift(pool, schema, definitions, logger())
    const batchPool = await connections.openForBatches()
    await this.#makeRoom()
    return Worker.start({
      listeners,
      schema,
      pool: batchPool,
      createListenClient: await connections.listenClients(),
      events,
      reports: await this.#openReports(pool),
      pollMs,
      statements: connections.statements,
    })
  }

  /** Handles what is ready. */
  async process(options: ResolvedProcessOptions): Promise<ProcessResult> {
    const call = this.#inBackground(() => this.#process(options))
    this.#calls.add(call)
    this.#consumers += options.listeners.length
    try {
      return await call
    } finally {
      this.#calls.delete(call)
      this.#consumers -= options.listeners.length
    }
  }

  async #process(options: ResolvedProcessOptions): Promise<ProcessResult> {
    const { requireCurrentEngine } = await import('./install/current-engine.js')
    const { Processing } = await import('./consume/processing.js')
    const { schema, connections, events, pollMs } = this.#options
    const pool = await connections.open()
    await requireCurrentEngine(pool, schema)
    const batchPool = await connections.openForBatches()
    await this.#makeRoom()
    const { statements } = connections
    const processing = new Processing({ ...options, schema, pool, batchPool, events, pollMs, statements })
    this.#processings.add(processing)
    if (this.#closing) void processing.stop()
    return processing.result.finally(() => this.#processings.delete(processing))
  }

  /** What the engine does by itself belongs to nobody's trace, whoever asks for it. */
  #inBackground<T>(work: () => T): T {
    const { instrumentation } = this.#options
    return instrumentation ? instrumentation.inBackground(work) : work()
  }

  /** A batch holds a connection while its handlers run, and no listener may wait for another's. */
  async #makeRoom(): Promise<void> {
    const max = await this.#options.connections.makeRoom(this.#consumers)
    if (max === undefined || max > this.#consumers) return
    this.#options
      .logger()
      .warn(
        { max, listeners: this.#consumers },
        'the pool has too few connections: each running listener holds one while its handlers run, and who else uses the pool waits. Raise its max.',
      )
  }

  #openReports(pool: Queryable): Promise<Reports> {
    const { schema, events, onReport } = this.#options
    this.#reports ??= import('./observe/reports.js').then(
      ({ Reports }) => new Reports({ schema, pool, events, onReport }),
    )
    return this.#reports
  }

  /** Stops all of it, and waits for its end. */
  async close(): Promise<void> {
    this.#closing = true
    for (const processing of this.#processings) void processing.stop()
    const workers = await Promise.allSettled(this.#workers)
    await Promise.all(workers.map((worker) => worker.status === 'fulfilled' && worker.value.stop()))
    await Promise.allSettled(this.#calls)
  }
}
