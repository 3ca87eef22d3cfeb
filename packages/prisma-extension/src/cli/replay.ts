import { Command, InvalidArgumentError } from '@commander-js/extra-typings'
import type { ReplayKey } from '@pgpubsub/core'
import { count } from './count.js'
import { exitCodes } from './exit-code.js'
import { logFormatOption, logLevelOption } from './log.js'
import { moduleArgument } from './module-argument.js'
import { print } from './print.js'
import { replayProgress } from './replay-progress.js'
import { run } from './run.js'
import { stopSignal } from './stop-signal.js'

const help = `
For a listener that is declared with replay: true, to build anew what it keeps. The rows are stored as changes with the operation
'replay', in the order of their key; workers handle them. SIGTERM or SIGINT ends it between two batches, with 1: it then says with which
--after to go on, as it does when it fails.

Examples:
  $ pgpubsub replay src/listeners.ts --listener index-media
  $ pgpubsub replay src/listeners.ts --listener index-media --after '{"id":"1500"}'`

/** `pgpubsub replay`. */
export function replayCommand() {
  return new Command('replay')
    .description("give the rows of a listener's model to it, as changes")
    .addArgument(moduleArgument())
    .requiredOption('--listener <name>', 'whose handler is given the rows')
    .option('--batch-size <n>', 'how many rows are stored in one transaction (default: 500)', count)
    .option('--after <json>', 'begin behind the row with this key (default: with the first row)', key)
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { listener, batchSize, after, ...log }) =>
      run(module, { ...log, logTo: 2 }, async ({ $pubsub }) => {
        const stop = new AbortController()
        void stopSignal().then(() => stop.abort())
        const progress = await replayProgress()
        const options = { listener, signal: stop.signal, onProgress: progress.show }
        try {
          const { stored, last, done } = await $pubsub.replay({
            ...options,
            ...(batchSize && { batchSize }),
            ...(after && { after }),
          })
          progress.end()
          await print(`stored ${stored}${done ? '' : `, and stopped.${toGoOn(last)}`}\n`)
          return done ? exitCodes.stopped : exitCodes.failure
        } catch (error) {
          progress.end()
          const { code, last } = error as { code?: string; last?: ReplayKey | null }
          if (code === 'PGPUBSUB_REPLAY_FAILED') await print(`It failed.${toGoOn(last ?? null)}\n`)
          // what went wrong, rather than that something did
          throw code === 'PGPUBSUB_REPLAY_FAILED' ? (error as Error).cause : error
        }
      }),
    )
}

const toGoOn = (last: ReplayKey | null) =>
  last ? ` To go on: --after '${JSON.stringify(last).replaceAll("'", "'\\''")}'` : ' Nothing was stored yet.'

function key(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {
    // said below
  }
  throw new InvalidArgumentError('Give the fields of the key as JSON, like {"id":"1500"}.')
}
