import { Command, InvalidArgumentError } from '@commander-js/extra-typings'
import { count } from './count.js'
import { logFormatOption, logLevelOption } from './log.js'
import { run } from './run.js'
import { stopSignal } from './stop-signal.js'

const help = `
It handles what is waiting, then what comes. SIGTERM or SIGINT (Ctrl-C) stops it: it takes nothing more, running handlers
have the grace period to end, then their signal aborts, and what was not handled stays stored for the next worker.
Start as many as you like: they share the work.

Examples:
  $ pgpubsub listen src/listeners.ts
  $ pgpubsub listen src/listeners.ts --listeners scan-media,send-mail --concurrency 20
  $ pgpubsub listen dist/listeners.js --install --log-format json --grace 25`

export function listenCommand() {
  return new Command('listen')
    .description('run the listeners that the module declares, until SIGTERM or SIGINT')
    .argument('<module>', 'file that exports the Prisma Client with its listeners')
    .option('--listeners <names>', 'only these listeners, by name, with commas between (default: all)', names)
    .option('--concurrency <n>', 'most handlers at once of each listener (default: what the listener says)', count)
    .option('--grace <seconds>', 'how long running handlers may take to end when it stops', seconds, 10)
    .option('--install', 'install the listeners first, as "pgpubsub install" does')
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { listeners, concurrency, grace, install, ...log }) =>
      run(module, { ...log, logTo: 1 }, async ({ $pubsub }, log) => {
        const stop = stopSignal()
        if (install) log.info(await $pubsub.install(), 'installed')
        const worker = await $pubsub.listen({ ...(listeners && { listeners }), ...(concurrency && { concurrency }) })
        log.info({ listeners: worker.listeners }, 'listening')
        log.info({ signal: await stop, graceSeconds: grace }, 'stopping')
        await worker.stop({ graceMs: grace * 1000 })
        log.info('stopped')
      }),
    )
}

function names(list: string): string[] {
  const given = list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  if (given.length === 0) throw new InvalidArgumentError('Give at least one name.')
  return [...new Set(given)]
}

function seconds(text: string): number {
  if (/^\d{1,6}(\.\d+)?$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a number of seconds, 0 or more.')
}
