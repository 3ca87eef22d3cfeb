import { Command } from '@commander-js/extra-typings'
import { logFormatOption, logLevelOption } from './log.js'
import { moduleOrUrl, schemaOption, urlOption } from './module-or-url.js'
import { print } from './print.js'
import { run } from './run.js'
import { statusTable } from './status-table.js'

const help = `
ready: stored, and a worker may take it; running: in hand now; retries: failed, and waiting for the next attempt; dead: has
used up its attempts; lag: the age of the oldest that is not done with; rate: handled in a second, in about the last minute.
A number with ~ is estimated. It reads little, whatever is stored, and locks nothing.

Examples:
  $ pgpubsub status src/listeners.ts
  $ pgpubsub status --url postgresql://… --json | jq 'map(select(.dead > 0))'`

export function statusCommand() {
  return new Command('status')
    .description('show what every listener has in the database')
    .argument('[module]', 'file that exports the Prisma Client with its listeners (default: none, but --url)')
    .addOption(urlOption())
    .addOption(schemaOption())
    .option('--json', 'print it as JSON')
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { url, schema, json, ...log }, command) =>
      run(moduleOrUrl(module, { url, schema }, command), { ...log, logTo: 2 }, async ({ $pubsub }) => {
        const listeners = await $pubsub.status()
        await print(`${json ? JSON.stringify(listeners, null, 2) : statusTable(listeners)}\n`)
      }),
    )
}
