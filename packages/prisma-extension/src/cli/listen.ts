import { availableParallelism } from 'node:os'
import { Command, InvalidArgumentError } from '@commander-js/extra-typings'
import type { Context } from '@pgpubsub/core'
import { context } from './context.js'
import { count } from './count.js'
import { type LogOptions, logFormatOption, logLevelOption } from './log.js'
import { moduleArgument } from './module-argument.js'
import { names } from './names.js'
import { run } from './run.js'
import { stopSignal } from './stop-signal.js'
import { reportListening, stopOfWorker, takeAssignment } from './supervised.js'
import { supervise } from './supervisor.js'

const help = `
It handles what is waiting, then what comes. SIGTERM or SIGINT (Ctrl-C) stops it: it takes nothing more, running handlers
have the grace period to end, then their signal aborts, and what was not handled stays stored for the next worker.
Start as many as you like: they share the work. --processes starts several, with one log, and replaces one that crashes.

Examples:
  $ pgpubsub listen src/listeners.ts
  $ pgpubsub listen src/listeners.ts --listeners scan-media,send-mail --concurrency 20
  $ pgpubsub listen src/listeners.ts --processes 4
  $ pgpubsub listen src/listeners.ts --context '{"tenant":"a"}'
  $ pgpubsub listen dist/listeners.js --install --log-format json --grace 25`

export function listenCommand() {
  return new Command('listen')
    .description('run the listeners that the module declares, until SIGTERM or SIGINT')
    .addArgument(moduleArgument())
    .option('--listeners <names>', 'only these listeners, by name, with commas between (default: all)', names)
    .option('--concurrency <n>', 'most handlers at once of each listener (default: what the listener says)', count)
    .option(
      '--processes <n>',
      'run so many worker processes, and start again whichever ends; auto: one for each core (default: this one alone)',
      processCount,
    )
    .option(
      '--context <json>',
      'only changes whose context contains this, such as {"tenant":"a"} (default: all)',
      context,
    )
    .option('--grace <seconds>', 'how long running handlers may take to end when it stops', seconds, 10)
    .option('--install', 'install the listeners first, as "pgpubsub install" does')
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { processes, ...options }) => {
      const assignment = takeAssignment()
      if (processes !== undefined && !assignment) return supervise({ processes, ...options })
      return listen(module, { ...options, ...assignment })
    })
}

interface ListenCommandOptions extends LogOptions {
  readonly listeners?: string[] | undefined
  readonly concurrency?: number | undefined
  readonly context?: Context | undefined
  readonly grace: number
  readonly install?: boolean | undefined
}

/** Runs the worker of this process. */
function listen(module: string, options: ListenCommandOptions): Promise<never> {
  const { listeners, concurrency, context, grace, install, ...log } = options
  const isSupervised = log.worker !== undefined
  // not while the module loads, without a supervisor: then a signal ends the process
  const told = isSupervised ? stopOfWorker() : undefined
  return run(module, { ...log, logTo: 1 }, async ({ $pubsub }, log) => {
    const stop = told ?? stopSignal()
    if (install) log.info(await $pubsub.install(), 'installed')
    const chosen = { ...(listeners && { listeners }), ...(concurrency && { concurrency }), ...(context && { context }) }
    const worker = await $pubsub.listen(chosen)
    log.info({ listeners: worker.listeners }, 'listening')
    if (isSupervised) reportListening()
    log.info({ signal: await stop, graceSeconds: grace }, 'stopping')
    await worker.stop({ graceMs: grace * 1000 })
    log.info('stopped')
  })
}

function processCount(text: string): number {
  if (text === 'auto') return availableParallelism()
  if (/^[1-9]\d{0,2}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number from 1, or auto.')
}

function seconds(text: string): number {
  if (/^\d{1,6}(\.\d+)?$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a number of seconds, 0 or more.')
}
