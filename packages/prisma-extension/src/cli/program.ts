import { readFileSync } from 'node:fs'
import { Command, type CommanderError, type CommandUnknownOpts } from '@commander-js/extra-typings'
import { checkCommand } from './check.js'
import { deadCommand } from './dead.js'
import { doctorCommand } from './doctor.js'
import { exitCodes } from './exit-code.js'
import { installCommand } from './install.js'
import { listenCommand } from './listen.js'
import { migrateCommand } from './migrate.js'
import { processCommand } from './process.js'
import { replayCommand } from './replay.js'
import { sqlCommand } from './sql.js'
import { statusCommand } from './status.js'
import { watchCommand } from './watch.js'

const help = `
<module> is a TypeScript or JavaScript file that exports the Prisma Client with the pubsub extension, and imports
whatever declares listeners on it. It exports the client as its default or as "prisma", or an async function that
returns it.

Examples:
  $ pgpubsub migrate src/listeners.ts             write a migration of Prisma with what is declared
  $ pgpubsub check src/listeners.ts               whether the database has what is declared
  $ pgpubsub install src/listeners.ts             bring the database to what is declared, at each deploy
  $ pgpubsub sql src/listeners.ts > install.sql   the same as SQL, for a migration or a review
  $ pgpubsub listen src/listeners.ts              handle changes, until SIGTERM or Ctrl-C
  $ pgpubsub process src/listeners.ts             handle what is ready, and end: for cron
  $ pgpubsub replay src/listeners.ts --listener x give rows that are there already to a listener
  $ pgpubsub watch src/listeners.ts               what waits, runs and is dead, drawn again and again
  $ pgpubsub dead list src/listeners.ts           what has used up its attempts; retry and discard it
  $ pgpubsub doctor src/listeners.ts              what is wrong with the database, and what to do about it

Exit codes:
  ${exitCodes.stopped}  done; for listen and process: stopped by a signal
  ${exitCodes.failure}  it failed: the database cannot be reached, the module throws, …; for doctor: there is a
     problem; for check: what is installed is not what is declared; for migrate --check: a migration is missing;
     for replay: it was stopped
  ${exitCodes.usage}  wrong usage: an option, a listener's name, a module without a client
  ${exitCodes.unknown}  check could not tell: the database cannot be reached, or the role may not look
  A second signal while listen stops ends it at once, with 128 and the signal's number (130, 143).`

/** The command line: `pgpubsub listen | process | migrate | check | install | sql | replay | status | watch | dead | doctor`. */
export function program(): Command {
  const pgpubsub = new Command('pgpubsub')
    .description(
      'Model-change pub/sub for Prisma on PostgreSQL: runs and installs the listeners that a module declares.',
    )
    .version(version(), '--version', 'print the version')
    .helpOption('--help', 'print this help')
    .helpCommand(false)
    .showHelpAfterError('(--help shows what there is)')
    .addHelpText('after', help)
    .exitOverride(exit)
  const commands = [
    ...[listenCommand(), processCommand(), migrateCommand(), checkCommand(), installCommand(), sqlCommand()],
    replayCommand(),
    ...[statusCommand(), watchCommand(), deadCommand(), doctorCommand()],
  ]
  for (const command of commands) pgpubsub.addCommand(inheriting(command, pgpubsub))
  return pgpubsub
}

/** A command, and those below it, that end and explain themselves as their parent does. */
function inheriting<C extends CommandUnknownOpts>(command: C, parent: CommandUnknownOpts): C {
  command.copyInheritedSettings(parent).helpOption('--help', 'print this help')
  for (const below of command.commands) inheriting(below, command)
  return command
}

/** Commander has said what is wrong; help and version are no mistakes. */
function exit({ exitCode }: CommanderError): never {
  process.exit(exitCode === 0 ? exitCodes.stopped : exitCodes.usage)
}

function version(): string {
  return JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version
}
