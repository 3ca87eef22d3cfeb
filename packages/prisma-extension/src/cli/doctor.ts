import { Command } from '@commander-js/extra-typings'
import type { Finding } from '@pgpubsub/core'
import { exitCodes } from './exit-code.js'
import { findingText } from './finding-text.js'
import { logFormatOption, logLevelOption } from './log.js'
import { moduleOrUrl, schemaOption, urlOption } from './module-or-url.js'
import { print } from './print.js'
import { run } from './run.js'

const help = `
With a module it compares the database with what the module declares. Without one it connects by --url, and goes by what
is installed. It changes nothing, and reads no queue to its end.

A problem is something that does not work, or soon will not; a warning is worth a look; info is good to know. The exit
code is 1 where there is a problem, so it fits into a deploy or a monitor.

Examples:
  $ pgpubsub doctor src/listeners.ts
  $ DATABASE_URL=postgresql://… pgpubsub doctor --role worker
  $ pgpubsub doctor src/listeners.ts --json | jq '.[] | select(.severity == "problem")'`

export function doctorCommand() {
  return new Command('doctor')
    .description('name what is wrong with triggers, rights, queues, vacuum and settings, and what to do about it')
    .argument('[module]', 'file that exports the Prisma Client with its listeners (default: none, but --url)')
    .addOption(urlOption())
    .addOption(schemaOption())
    .option('--role <name>', 'role that runs workers, whose rights are examined (default: that of the connection)')
    .option('--json', 'print the findings as JSON, with their figures')
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { url, schema, role, json, ...log }, command) => {
      return run(moduleOrUrl(module, { url, schema }, command), { ...log, logTo: 2 }, async ({ $pubsub }) => {
        const findings = await $pubsub.doctor(role === undefined ? {} : { role })
        await print(json ? `${JSON.stringify(findings, null, 2)}\n` : findingText(findings))
        return findings.some(isProblem) ? exitCodes.failure : exitCodes.stopped
      })
    })
}

const isProblem = ({ severity }: Finding) => severity === 'problem'
