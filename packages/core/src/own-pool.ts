import type { Duplex } from 'node:stream'
import pg from 'pg'
import { type Carried, QueryBehind, type SentBehind } from './carried.js'
import { cut } from './cut.js'
import type { CarriedStatement, Carrier, QueryResult } from './database.js'

/** An idle connection whose other end is gone is noticed within these many milliseconds and ten seconds. */
const keepAlive = { keepAlive: true, keepAliveInitialDelayMillis: 10_000 }

/** How long statements that still run may take when the pool is ended, in milliseconds. */
const endingMs = 5_000

/** A client for a LISTEN connection. */
export function listenClient(
  config: pg.ClientConfig,
  { connectMs, answerMs }: { connectMs: number; answerMs: number },
): pg.Client {
  return new pg.Client({
    ...config,
    application_name: 'pgpubsub listen',
    ...keepAlive,
    connectionTimeoutMillis: connectMs,
    query_timeout: answerMs,
  })
}

export interface OwnPoolOptions {
  readonly max: number
  readonly connectMs: number
  /** Whether statements are sent before the ones before them are answered. */
  readonly pipeline: boolean
  /** Whether nothing but the engine's batches uses it. */
  readonly isEngines: boolean
}

/** The pool that the engine opens for itself. Its end does not wait for a server that does not answer. */
export class OwnPool extends pg.Pool {
  readonly #open: ReadonlySet<pg.Client>

  constructor(connectionString: string | undefined, { max, connectMs, pipeline, isEngines }: OwnPoolOptions) {
    const open = new Set<pg.Client>()
    super({
      Client: recordedIn(open, isEngines),
      connectionString,
      application_name: 'pgpubsub',
      allowExitOnIdle: true,
      max,
      pipeline,
      ...keepAlive,
      connectionTimeoutMillis: connectMs,
    })
    this.#open = open
    // one that is cut as soon as it is there tells so before whoever asked for it can listen
    this.on('connect', (client) => client.on('error', () => {}))
  }

  override async end(): Promise<void> {
    // idle ones are still saying good-bye when super.end() has returned
    setTimeout(() => this.#open.forEach(cut), endingMs).unref()
    await super.end()
  }
}

/** Clients that are in the set from before they connect until their socket is closed: the pool tells only of those between. */
const recordedIn = (open: Set<pg.Client>, isEngines: boolean) =>
  class extends OneWriteClient {
    readonly isEngines = isEngines

    constructor(config?: pg.ClientConfig) {
      super(config)
      open.add(this)
      this.on('end', () => open.delete(this))
    }
  }

type Send = (config: unknown, ...more: unknown[]) => unknown

/** Statements that are sent one right after another leave in one packet: to write to a socket costs more than a statement. */
class OneWriteClient extends pg.Client implements Carrier {
  #isHeld = false
  /** What is to be sent in front of the next statement. */
  #carried: Carried[] = []
  readonly #send: Send

  constructor(config?: pg.ClientConfig) {
    super(config)
    this.#send = this.query.bind(this) as Send
    this.query = ((config: unknown, ...more: unknown[]) => {
      this.#hold()
      // one that submits itself has messages of its own
      if (isSubmittable(config)) this.#sendCarried()
      if (this.#carried.length === 0) return this.#send(config, ...more)
      const [values] = more as [unknown[] | undefined]
      return this.#sendBehind(typeof config === 'string' ? { text: config, values } : (config as SentBehind))
    }) as typeof this.query
  }

  carry({ name, text, values, query_timeout }: CarriedStatement): Promise<string> {
    this.#hold()
    return new Promise((done, failed) => {
      this.#carried.push({ name, text, values, query_timeout, done, failed })
    })
  }

  holdBack(): () => void {
    const stream = this.#stream
    stream.cork()
    return () => stream.uncork()
  }

  get #stream(): Duplex {
    return (this as unknown as { readonly connection: { readonly stream: Duplex } }).connection.stream
  }

  /** Sends the statement, and in front of it what it is to carry. */
  #sendBehind(statement: SentBehind): Promise<unknown> {
    const carried = this.#carried
    this.#carried = []
    return new Promise((resolve, reject) => {
      const query = new QueryBehind(carried, statement, (error, result) => (error ? reject(error) : resolve(result)))
      this.#send(query)
    })
  }

  /** There was no statement to carry it. */
  #sendCarried(): void {
    const last = this.#carried.pop()
    if (!last) return
    const { name, text, values, query_timeout, done, failed } = last
    this.#sendBehind({ name, text, values, query_timeout }).then(
      (result) => done((result as QueryResult).command ?? ''),
      failed,
    )
  }

  #hold(): void {
    if (this.#isHeld) return
    this.#isHeld = true
    const stream = this.#stream
    stream.cork()
    // after all that follows without waiting for anything from outside
    process.nextTick(() => {
      this.#isHeld = false
      this.#sendCarried()
      stream.uncork()
    })
  }
}

const isSubmittable = (config: unknown) => typeof (config as { submit?: unknown } | null)?.submit === 'function'
