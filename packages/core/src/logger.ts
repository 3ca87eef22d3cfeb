import { invalid, show } from './check.js'

/** What this library logs to: pino and `console` both satisfy it. */
export interface Logger {
  /** What is of interest to nobody but developers: each handled change. */
  debug(object: object, message: string): void
  /** What goes as it should: a change discarded, a connection that is back. */
  info(object: object, message: string): void
  /** What is tried again: a failed attempt, a lost connection. */
  warn(object: object, message: string): void
  /** What somebody must look at: a dead letter, a failure in the background. */
  error(object: object, message: string): void
}

const levels = ['debug', 'info', 'warn', 'error'] as const satisfies readonly (keyof Logger)[]

/** @throws PGPUBSUB_INVALID_OPTION where one of the methods is missing: it would be missed when something has gone wrong. */
export function checkLogger(logger: unknown): Logger {
  const missing = levels.find((level) => typeof (logger as Partial<Logger> | null)?.[level] !== 'function')
  if (missing === undefined) return logger as Logger
  throw invalid(
    `logger must have the methods ${levels.join(', ')}, as console and pino do; ${show(logger)} has no ${missing}. Pass silentLogger for none.`,
  )
}

const ignore = () => {}

/** Says nothing; errors of the background are emitted as events in any case. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }

/** The default: quiet, except that what goes wrong is written to the console. */
export const quietLogger: Logger = {
  ...silentLogger,
  warn: (object, message) => console.warn(`pgpubsub: ${message}`, object),
  error: (object, message) => console.error(`pgpubsub: ${message}`, object),
}
