import { Command } from '@commander-js/extra-typings'
import { installLines } from './install-lines.js'
import { logFormatOption, logLevelOption } from './log.js'
import { moduleArgument } from './module-argument.js'
import { print } from './print.js'
import { run } from './run.js'

const help = `
Run it at each deploy, before the programs that write: it creates or upgrades the engine's schema, and one trigger for
each listener and operation; triggers of listeners that are not declared any more are dropped. Where nothing differs, it
changes nothing, and many may run at once.

Example:
  $ pgpubsub install src/listeners.ts`

export function installCommand() {
  return new Command('install')
    .description("bring the database to what the module declares: the engine's schema and the triggers")
    .addArgument(moduleArgument())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, log) =>
      run(module, { ...log, logTo: 2 }, async ({ $pubsub }) => {
        const lines = installLines(await $pubsub.install())
        await print(`${lines.join('\n') || 'Everything is in place already.'}\n`)
      }),
    )
}
