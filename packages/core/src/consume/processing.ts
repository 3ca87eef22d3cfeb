import type { Pool } from '../database.js'
import type { Emitter } from '../events.js'
import type { Listener } from '../listener.js'
import { remaining } from '../observe/remaining.js'
import type { ProcessResult, ResolvedProcessOptions } from '../process-options.js'
import { runOutsideScopes } from '../publish/context.js'
import { ReadyNotifications } from './ready-notifications.js'
import type { StatementOptions } from './statement.js'
import { Stop } from './stop.js'

export interface ProcessingOptions extends ResolvedProcessOptions {
  readonly schema: string
  readonly pool: Pool
  /** For batches and nothing else. */
  readonly batchPool: Pool
  readonly events: Emitter
  readonly pollMs: number
  readonly statements: StatementOptions
}

/** How long handlers may run on when it is stopped, in milliseconds. */
const graceMs = 10_000

// A retry that this process has put off is known to no worker that sleeps.
const tellWorkers = /* sql */ `select pg_notify($1, l.name)::text from pg_catalog.unnest($2::text[]) as l (name)`

/** Events that tell of an attempt's end. */
const attemptEvents: ReadonlySet<string> = new Set(['handled', 'failed', 'discarded', 'leaseLost'])

/** Handles what is ready, once: for a program that runs for a while and not as a worker. */
export class Processing {
  readonly #options: ProcessingOptions
  readonly #draining = new Stop()
  readonly #abort = new Stop()
  readonly #listeners: readonly ReadyNotifications[]
  readonly #putOff = new Set<string>()
  /** Rejects where the database has failed. */
  readonly result: Promise<ProcessResult>
  #processed = 0

  constructor(options: ProcessingOptions) {
    this.#options = options
    const { schema, batchPool, pollMs: sweepMs, statements } = options
    const stop = { draining: this.#draining, abort: this.#abort }
    const events: Emitter = {
      emit: (event, payload) => {
        this.#observe(event, payload)
        options.events.emit(event, payload)
      },
    }
    this.#listeners = options.listeners.map(
      (listener) =>
        new ReadyNotifications({
          listener: withoutGathering(listener),
          schema,
          pool: batchPool,
          events,
          stop,
          sweepMs,
          statements,
        }),
    )
    this.result = runOutsideScopes(() => this.#run())
    this.result.catch(() => {}) // whoever waits for it is told
  }

  /** Claims nothing more, and gives up on handlers that run on for long. */
  async stop(): Promise<void> {
    this.#draining.abort()
    const timer = setTimeout(() => this.#abort.abort(), graceMs)
    await this.result.catch(() => {})
    clearTimeout(timer)
  }

  #observe(event: string, payload: object): void {
    if (attemptEvents.has(event)) this.#processed++
    if (event === 'failed') this.#putOff.add((payload as { listener: string }).listener)
  }

  async #run(): Promise<ProcessResult> {
    const unlimit = this.#limit()
    try {
      await this.#handleAll()
    } finally {
      this.#draining.abort()
      // a handler that never ends is ended by the signal alone, and not by an error elsewhere
      const ended = await Promise.allSettled(this.#listeners.map((listener) => listener.end()))
      unlimit()
      throwFirst(ended)
    }
    await this.#tellWorkers()
    const { pool, schema, listeners, context } = this.#options
    const names = listeners.map(({ definition }) => definition.name)
    return { processed: this.#processed, remaining: await remaining(pool, schema, names, context) }
  }

  /** Stops when the time is over, or the caller says so. @returns what takes that back */
  #limit(): () => void {
    const { maxMs, signal } = this.#options
    const drain = () => this.#draining.abort()
    const abort = () => {
      drain()
      this.#abort.abort()
    }
    const timer = maxMs === null ? undefined : setTimeout(drain, maxMs)
    signal?.addEventListener('abort', abort, { once: true })
    if (signal?.aborted) abort()
    return () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', abort)
    }
  }

  get #free(): number {
    return this.#draining.aborted ? 0 : this.#options.max - this.#processed
  }

  /** Again as long as something was handled: a handler may have written what another one is to be given. */
  async #handleAll(): Promise<void> {
    for (let before = -1; this.#free > 0 && this.#processed > before; ) {
      before = this.#processed
      await this.#handleEach()
    }
  }

  /** Every listener until it has nothing. Where there is a limit, each of them is given the same part of what is left. */
  async #handleEach(): Promise<void> {
    for (let asked = this.#listeners; asked.length > 0 && this.#free > 0; ) {
      const turn = asked.slice(0, this.#free)
      const part = Math.floor(this.#free / turn.length)
      throwFirst(await Promise.allSettled(turn.map((listener) => listener.handle(part))))
      asked = [...asked.slice(turn.length), ...turn.filter(({ mayHaveMore }) => mayHaveMore)]
    }
  }

  async #tellWorkers(): Promise<void> {
    if (this.#putOff.size === 0) return
    await this.#options.pool.query(tellWorkers, [this.#options.schema, [...this.#putOff]])
  }
}

/** Nobody waits for a list to fill. */
function withoutGathering(listener: Listener): Listener {
  const { batch } = listener.consume
  return batch ? { ...listener, consume: { ...listener.consume, batch: { ...batch, maxWaitMs: 0 } } } : listener
}

function throwFirst(ended: readonly PromiseSettledResult<unknown>[]): void {
  for (const end of ended) if (end.status === 'rejected') throw end.reason
}
