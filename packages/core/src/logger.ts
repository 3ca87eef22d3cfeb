/** What this library logs to: pino and `console` both satisfy it. */
export interface Logger {
  debug(object: object, message: string): void
  info(object: object, message: string): void
  warn(object: object, message: string): void
  error(object: object, message: string): void
}

const ignore = () => {}

/** The default: says nothing. Errors of the background are still emitted as `error` events. */
export const silentLogger: Logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
