import { relative } from 'node:path'
import { Command } from '@commander-js/extra-typings'
import { exitCodes } from './exit-code.js'
import { installLines, toDo } from './install-lines.js'
import { logFormatOption, logLevelOption } from './log.js'
import { migrationsFolder, readMigrations, writeMigration } from './migrations-folder.js'
import { moduleArgument } from './module-argument.js'
import { print } from './print.js'
import { run } from './run.js'

const help = `
It compares the listeners that the module declares with what the migrations install already, and writes a migration with
the difference: for prisma migrate dev and deploy, to be reviewed and committed like any other. It asks no database: each
migration of ours says at its end what is installed.

Run it after prisma migrate dev or --create-only has written a migration of the models, so that it comes behind it.

Where the newest migration drops or retypes a column that a trigger names, it is written into that one: before and after
its own statements. Run prisma migrate dev --create-only first then.

Examples:
  $ pgpubsub migrate src/listeners.ts --name add-listeners
  $ pgpubsub migrate src/listeners.ts --check              # in CI: 1 where a migration is missing`

export function migrateCommand() {
  return new Command('migrate')
    .description('write what the migrations lack of what the module declares, as a migration of Prisma')
    .addArgument(moduleArgument())
    .option('--name <name>', 'what to call the migration', 'listeners')
    .option('--check', 'write nothing; end with 1 where a migration is missing')
    .option('--migrations <folder>', 'folder of the migrations (default: as the Prisma config says)')
    .option('--config <file>', 'Prisma config to read (default: the one that Prisma finds)')
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { name, check, migrations: given, config, ...log }) =>
      run(module, { ...log, logTo: 2 }, async ({ $pubsub }) => {
        const folder = given ?? (await migrationsFolder(config))
        const migrations = await readMigrations(folder)
        const missing = await $pubsub.migration(migrations.map(({ sql }) => sql))
        if (!missing) {
          await print('The migrations install all that is declared: nothing to do.\n')
          return exitCodes.stopped
        }
        const lines = installLines(missing.report, toDo).map((line) => `  ${line}\n`)
        if (check) {
          await print(`A migration is missing. Run "pgpubsub migrate", and commit what it writes:\n${lines.join('')}`)
          return exitCodes.failure
        }
        const files = await writeMigration(folder, fileName(name), migrations, missing)
        const written = files.map((file) => `${relative('', file)}\n`)
        const gap = [...missing.releases.keys()].some((index) => index < migrations.length - 1) ? betweenTwo : ''
        await print(
          `${written.join('')}${lines.join('')}${gap}Apply it with prisma migrate dev, or prisma migrate deploy.\n`,
        )
        return exitCodes.stopped
      }),
    )
}

const betweenTwo = `A migration that is not the newest drops or retypes a column that a trigger names, so the trigger is created again only behind
the newest. What is written between the two in the moment of the deploy is not stored for its listener.
`

/** As Prisma names its folders. */
const fileName = (name: string) =>
  name
    .normalize('NFKD')
    .replaceAll(/\p{M}/gu, '')
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '_')
    .replaceAll(/^_+|_+$/g, '')
    .slice(0, 200) || 'listeners'
