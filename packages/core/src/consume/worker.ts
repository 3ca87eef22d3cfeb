import type pg from 'pg'
import type { Pool } from '../database.js'
import type { Events } from '../events.js'
import type { Listener } from '../listener.js'
import type { Reports } from '../observe/reports.js'
import { runOutsideScopes } from '../publish/context.js'
import { Broadcasts } from './broadcasts.js'
import { Consumer } from './consumer.js'
import { HeldConnections } from './held-connections.js'
import { longestTimeout } from './signal.js'
import type { StatementOptions } from './statement.js'
import { Stop } from './stop.js'
import { untilAborted } from './until-aborted.js'
import { WakeLine } from './wake.js'

export interface WorkerOptions {
  readonly listeners: readonly Listener[]
  readonly schema: string
  readonly pool: Pool
  /** Null where there is no LISTEN connection. */
  readonly createListenClient: (() => pg.Client) | null
  readonly events: Events
  readonly reports: Reports
  readonly pollMs: number
  readonly statements: StatementOptions
}

/**
 * How long what the handlers came to may take to be written down after the grace period, in milliseconds. After that the
 * database is taken for silent.
 */
const settlingMs = 5_000

/** A running consumer of one or more listeners. */
export class Worker implements AsyncDisposable {
  /** Names of the listeners that it consumes. */
  readonly listeners: readonly string[]
  /** Fulfilled when it has stopped. */
  readonly stopped: Promise<void>
  readonly #line: WakeLine
  readonly #connections: HeldConnections
  readonly #draining = new Stop()
  readonly #abort = new Stop()
  readonly #gaveUp = new Stop()
  readonly #consumers: (Consumer | Broadcasts)[]
  readonly #reports: Reports
  #running: Promise<unknown> = Promise.resolve()
  #endReports: () => Promise<void> = async () => {}
  #stopping: Promise<void> | undefined
  #hasStopped: () => void = () => {}

  private constructor(options: WorkerOptions) {
    const { listeners, createListenClient, reports, ...shared } = options
    this.#reports = reports
    this.#connections = new HeldConnections(options.pool)
    const { schema, events } = options
    this.listeners = listeners.map(({ definition }) => definition.name)
    this.stopped = new Promise((resolve) => {
      this.#hasStopped = resolve
    })
    this.#line = new WakeLine({ schema, createClient: createListenClient, events })
    const stop = { draining: this.#draining, abort: this.#abort }
    const line = this.#line
    this.#consumers = listeners.map((listener) =>
      listener.definition.delivery === 'broadcast'
        ? new Broadcasts({ schema, events, listener, line, stop })
        : new Consumer({ ...shared, pool: this.#connections, listener, line, stop }),
    )
  }

  /** @throws when the server cannot be reached. */
  static async start(options: WorkerOptions): Promise<Worker> {
    const worker = new Worker(options)
    await runOutsideScopes(async () => {
      await worker.#line.start()
      worker.#endReports = worker.#report()
      worker.#running = Promise.all(worker.#consumers.map((consumer) => consumer.run()))
    })
    return worker
  }

  /**
   * Stops: claims nothing more, lets running handlers end for `graceMs`, then aborts their `signal` and leaves what they
   * had to the next worker, unharmed. It has stopped at the latest 6 seconds after the grace period, also where the
   * database does not answer. Calling it again waits for the same end, and can make the grace period shorter.
   * @param options.graceMs milliseconds, 10,000 by default; `Infinity` waits for as long as they take
   */
  stop(options: { graceMs?: number } = {}): Promise<void> {
    this.#stopping ??= this.#stop()
    this.#limit(options.graceMs ?? 10_000)
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#draining.abort()
    await untilAborted(this.#running, this.#gaveUp, () => {})
    await Promise.all([this.#line.stop(), this.#endReports()])
    this.#hasStopped()
  }

  #report(): () => Promise<void> {
    const reported = this.#consumers.map((consumer, index) => ({
      listener: this.listeners[index] as string,
      readyAbove: () => consumer.readyAbove,
    }))
    return this.#reports.join(reported)
  }

  #limit(graceMs: number): void {
    const wait = Math.min(graceMs, longestTimeout - settlingMs)
    const timers = [setTimeout(() => this.#abort.abort(), wait), setTimeout(() => this.#giveUp(), wait + settlingMs)]
    this.stopped.then(() => timers.forEach(clearTimeout))
  }

  /** Leaves a database that does not answer. It rolls back what it has of this worker, once it notices. */
  #giveUp(): void {
    this.#connections.giveUp()
    this.#gaveUp.abort()
    void this.#line.stop()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }
}
