import { Command } from '@commander-js/extra-typings'
import { exitCodes } from './exit-code.js'
import { findingText } from './finding-text.js'
import { logFormatOption, logLevelOption } from './log.js'
import { moduleOrUrl, schemaOption, urlOption } from './module-or-url.js'
import { print } from './print.js'
import { run } from './run.js'

const help = `
With a module it compares the database with what the module declares; without one it connects by --url, and goes by the
engine's own list. It changes nothing. Run it after a deploy: it ends with 0 where all is installed as declared, with 1
where a trigger is missing, outdated, disabled or left over, or the engine's version is another, and with 3 where it
could not tell.

Examples:
  $ pgpubsub check src/listeners.ts
  $ pgpubsub check src/listeners.ts --json | jq '.[].subject'`

export function checkCommand() {
  return new Command('check')
    .description('compare what is installed with what the module declares')
    .argument('[module]', 'file that exports the Prisma Client with its listeners (default: none, but --url)')
    .addOption(urlOption())
    .addOption(schemaOption())
    .option('--json', 'print the findings as JSON')
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { url, schema, json, ...log }, command) => {
      const options = { ...log, logTo: 2, failureCode: exitCodes.unknown } as const
      return run(moduleOrUrl(module, { url, schema }, command), options, async ({ $pubsub }) => {
        const findings = await $pubsub.check()
        const text = findings.length > 0 ? findingText(findings) : 'All is installed as it is declared.\n'
        await print(json ? `${JSON.stringify(findings, null, 2)}\n` : text)
        return findings.length > 0 ? exitCodes.failure : exitCodes.stopped
      })
    })
}
