import type { Logger } from 'pino'
import { type ExtendedClient, importClient } from './client-module.js'
import { exitCodeOf, exitCodes } from './exit-code.js'
import { describe } from './failure.js'
import { createLog, type LogOptions } from './log.js'

const closingMs = 5_000

interface RunOptions extends LogOptions {
  logTo: 1 | 2
  /** The exit code where the work could not be done. @default 1 */
  failureCode?: number
}

/**
 * Imports the module's client, or opens the one given, logs what its engine says to `logTo`, does the work of a command, closes the client, and
 * ends the process, with the exit code that the work returns. Whatever the module left open does not keep it alive.
 */
export async function run(
  module: string | (() => ExtendedClient),
  options: RunOptions,
  work: (client: ExtendedClient, log: Logger) => Promise<number | void>,
): Promise<never> {
  process.once('uncaughtException', (error) => fail(error, options))
  try {
    const log = createLog(options, options.logTo)
    const client = typeof module === 'string' ? await importClient(module) : module()
    client.$pubsub.logTo(log)
    const exitCode = await work(client, log)
    await close(client)
    return process.exit(exitCode ?? exitCodes.stopped)
  } catch (error) {
    return fail(error, options)
  }
}

/** A handler that never ends may hold a connection that closing would wait for: it ends with the process. */
async function close(client: ExtendedClient): Promise<void> {
  const late = new Promise((resolve) => setTimeout(resolve, closingMs).unref())
  await Promise.race([client.$pubsub.close().then(() => client.$disconnect?.()), late])
}

/** One line for whoever made the mistake; the stack for whoever asks for it. */
function fail(error: unknown, options: RunOptions): never {
  const stack = options.logLevel === 'debug'
  if (options.logFormat === 'json') {
    // said in any case, however quiet the log is
    const { code } = (error ?? {}) as { code?: string }
    createLog({ ...options, logLevel: 'error' }, 2).fatal({ code, ...(stack && { err: error }) }, describe(error))
  } else {
    console.error(`pgpubsub: ${describe(error)}`)
    if (stack) console.error(error)
  }
  return process.exit(exitCodeOf(error, options.failureCode))
}
