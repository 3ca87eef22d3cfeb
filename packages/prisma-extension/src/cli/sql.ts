import { Command } from '@commander-js/extra-typings'
import { logFormatOption, logLevelOption } from './log.js'
import { moduleArgument } from './module-argument.js'
import { print } from './print.js'
import { run } from './run.js'

const help = `
It reads the tables of the database, and changes nothing. The SQL may be applied again, over itself.

Example:
  $ pgpubsub sql src/listeners.ts > prisma/migrations/20260101000000_listeners/migration.sql`

export function sqlCommand() {
  return new Command('sql')
    .description('print what install would do, as SQL for a migration or a review')
    .addArgument(moduleArgument())
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, log) =>
      run(module, { ...log, logTo: 2 }, async ({ $pubsub }) => {
        await print(await $pubsub.sql())
      }),
    )
}
