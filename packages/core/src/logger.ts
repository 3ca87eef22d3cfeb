/** What this library logs to: pino and `console` both satisfy it. */
export interface Logger {
  debug(object: object, message: string): void
  info(object: object, message: string): void
  warn(object: object, message: string): void
  error(object: object, message: string): void
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
