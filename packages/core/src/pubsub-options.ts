import type pg from 'pg'
import { checkOptionNames, invalid, positiveInteger, show } from './check.js'
import { type Instrumentation, isInstrumentation } from './instrumentation.js'
import { checkLogger, type Logger } from './logger.js'
import { checkDefaults, type ListenerDefaults } from './options.js'

/** How to reach the database, and the defaults of listeners. Give `connectionString` or `pool`. */
export interface PubSubOptions {
  /** Where to connect to, as a `postgresql://` URL. A small pool of its own is opened when it is first needed. @default `pool` */
  connectionString?: string
  /**
   * A pool of yours to use instead. It stays yours to end. It must have more connections than listeners run at once: each
   * batch holds one while its handlers run.
   * @default one to `connectionString`
   */
  pool?: pg.Pool
  /**
   * Where the LISTEN connection connects to. Needed only behind a pooler in transaction mode, where LISTEN does not
   * work: give the server's own address, or `false` where nothing but the pooler can be reached: then there is no such
   * connection, and workers find changes by their slow poll. With either, no prepared statements are used.
   * @default the address of `connectionString` or `pool`
   */
  listenConnectionString?: string | false
  /**
   * Schema of the engine's tables and functions. Programs that share a database and declare different listeners need
   * different ones: `install` removes the triggers of listeners that are not declared.
   * @default 'pgpubsub'
   */
  schema?: string
  /**
   * What holds for every listener that does not say otherwise: `order`, `wake`, `attempts` and the like.
   * @example { attempts: 5, backoff: { type: 'fixed', firstMs: 1000 } }
   * @default those of each option
   */
  defaults?: ListenerDefaults
  /**
   * Milliseconds after which a sleeping worker looks for work by itself, whether it was woken or not.
   * @default 5000
   */
  pollIntervalMs?: number
  /**
   * Milliseconds after which a server that does not answer is given up on, and the connection replaced: for each
   * statement by which a worker sleeps, claims and settles, and, 10 seconds at most, for connecting. Statements of
   * handlers have no such limit.
   * @default 30000
   */
  answerTimeoutMs?: number
  /** Where to log: pino and `console` both fit, `silentLogger` says nothing. @default warnings and errors, to the console */
  logger?: Logger
  /**
   * Traces and metrics: `openTelemetry()` of `@pgpubsub/prisma-extension/opentelemetry`.
   * @default none
   */
  instrumentation?: Instrumentation
}

const optionNames = [
  ...['connectionString', 'pool', 'listenConnectionString', 'schema', 'defaults', 'pollIntervalMs'],
  ...['answerTimeoutMs', 'logger', 'instrumentation'],
] as const satisfies readonly (keyof PubSubOptions)[]

/** {@link PubSubOptions} that are checked, with their defaults. */
export interface ResolvedPubSubOptions {
  readonly schema: string
  readonly defaults: ListenerDefaults
  readonly pollMs: number
  readonly answerMs: number
}

/** @throws PGPUBSUB_INVALID_OPTION */
export function resolvePubSubOptions(options: PubSubOptions): ResolvedPubSubOptions {
  if (!options?.connectionString === !options?.pool) {
    const isEmpty = typeof options === 'object' && options !== null && 'connectionString' in options && !options.pool
    const why = isEmpty ? ' connectionString is empty: is the environment variable set that it comes from?' : ''
    throw invalid(
      `Say how to reach the database: pass either { connectionString: "postgresql://…" } or { pool }, not both.${why}`,
    )
  }
  checkOptionNames('pubsub', options, optionNames)
  if (options.pool) checkPool(options.pool)
  else checkAddress('connectionString', options.connectionString)
  if (options.listenConnectionString !== undefined && options.listenConnectionString !== false) {
    checkAddress('listenConnectionString', options.listenConnectionString)
  }
  if (options.logger !== undefined) checkLogger(options.logger)
  checkInstrumentation(options.instrumentation)
  return {
    schema: schemaName(options.schema ?? 'pgpubsub'),
    defaults: checkDefaults(options.defaults ?? {}),
    pollMs: positiveInteger('pubsub', 'pollIntervalMs', options.pollIntervalMs ?? 5_000),
    answerMs: positiveInteger('pubsub', 'answerTimeoutMs', options.answerTimeoutMs ?? 30_000),
  }
}

/**
 * What it is stands in no message: it may hold a password.
 * @throws PGPUBSUB_INVALID_OPTION
 */
function checkAddress(option: string, address: unknown): void {
  if (typeof address !== 'string' || !/^(?:postgres(?:ql)?:\/\/|socket:|\/)/.test(address)) {
    throw invalid(
      `${option} must be a text that begins with postgresql://, as in postgresql://user:password@host:5432/database.`,
    )
  }
  // the driver takes blanks in a URL, and one without a host
  const isUrl = !address.includes('#') && URL.canParse(encodeURI(address.replace('@/', '@localhost/')))
  if (isUrl || /^(?:socket:|\/)/.test(address)) return
  throw invalid(
    `${option} is no URL that can be read. In a password, write characters like # / ? @ as encodeURIComponent does: # is %23.`,
  )
}

/** @throws PGPUBSUB_INVALID_OPTION where it is a single connection, another client, or its settings. */
function checkPool({ connect, query, options }: Partial<pg.Pool>): void {
  if (typeof connect === 'function' && typeof query === 'function' && typeof options === 'object') return
  throw invalid(
    'pool must be a pool of the package pg, as new pg.Pool({ connectionString }) makes one. For its settings alone, pass connectionString.',
  )
}

function checkInstrumentation(given: unknown): void {
  if (given === undefined || isInstrumentation(given)) return
  throw invalid(
    'instrumentation must be what openTelemetry() returns: call it, as in { instrumentation: openTelemetry() }.',
  )
}

function schemaName(name: unknown): string {
  const fits = typeof name === 'string' && name !== '' && Buffer.byteLength(name) <= 63
  if (fits && name.startsWith('pg_')) {
    throw invalid(`schema cannot be ${show(name)}: names that begin with pg_ are PostgreSQL's own. Choose another.`)
  }
  if (fits && !/\0|\p{Surrogate}/u.test(name)) return name
  throw invalid(`schema must be the name of a PostgreSQL schema, a text of 1 to 63 bytes; it is ${show(name)}.`)
}
