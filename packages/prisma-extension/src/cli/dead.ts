import { Argument, Command, InvalidArgumentError, Option } from '@commander-js/extra-typings'
import { type DeadLetterFilter, type DeadLetterSelection, storedOperations } from '@pgpubsub/core'
import { count } from './count.js'
import { deadLetterLines, deadLetterTable } from './dead-letter-table.js'
import { logFormatOption, logLevelOption } from './log.js'
import { print } from './print.js'
import { run } from './run.js'

const help = `
A dead letter is a stored change that has used up its listener's attempts. It is kept with its error until it is retried
(all its attempts again, at once) or discarded (deleted).

Examples:
  $ pgpubsub dead list src/listeners.ts --listener scan-media
  $ pgpubsub dead list src/listeners.ts --format json --limit 1000 | jq .error
  $ pgpubsub dead retry src/listeners.ts 4711 4712
  $ pgpubsub dead retry src/listeners.ts --listener scan-media --error ECONNREFUSED
  $ pgpubsub dead discard src/listeners.ts --died-before 2026-01-01`

/** `pgpubsub dead list | retry | discard`. */
export function deadCommand() {
  return new Command('dead')
    .description('list, retry or discard dead letters: changes that have used up their attempts')
    .addHelpText('after', help)
    .addCommand(listCommand())
    .addCommand(changeCommand('retry', 'give dead letters all their attempts again', 'retried'))
    .addCommand(changeCommand('discard', 'delete dead letters', 'discarded'))
}

function listCommand() {
  return filtered(new Command('list'))
    .description('show dead letters, those of the newest changes first')
    .addArgument(moduleArgument())
    .option('--limit <n>', 'the most to show', count, 50)
    .option('--before <id>', 'only those with a lower id: the last one shown gives the next page', id)
    .action((module, { limit, before, format, logLevel, logFormat, ...filter }) =>
      run(module, { logLevel, logFormat, logTo: 2 }, async ({ $pubsub }) => {
        const letters = await $pubsub.deadLetters.list({
          ...given(filter),
          limit,
          ...(before !== undefined && { before }),
        })
        await print(format === 'json' ? deadLetterLines(letters) : deadLetterTable(letters, limit))
      }),
    )
}

function changeCommand(name: 'retry' | 'discard', description: string, done: string) {
  return filtered(new Command(name))
    .description(`${description}: those named, those that fit, or all`)
    .addArgument(moduleArgument())
    .argument('[ids...]', 'ids of dead letters', ids, [])
    .option('--all', 'every dead letter of every listener')
    .action((module, named, { all, format, logLevel, logFormat, ...filter }, command) => {
      const ways: DeadLetterSelection[] = []
      if (named.length > 0) ways.push(named)
      if (Object.keys(given(filter)).length > 0) ways.push(given(filter))
      if (all) ways.push('all')
      const [selection] = ways
      if (selection === undefined || ways.length > 1) {
        return command.error('error: say which dead letters: ids, or a filter like --listener, or --all')
      }
      return run(module, { logLevel, logFormat, logTo: 2 }, async ({ $pubsub }) => {
        const changed = await $pubsub.deadLetters[name](selection)
        await print(format === 'json' ? `${JSON.stringify({ [done]: changed })}\n` : `${done} ${changed}\n`)
      })
    })
}

const moduleArgument = () => new Argument('<module>', 'file that exports the Prisma Client with its listeners')

/** The options that all three have. */
function filtered(command: Command) {
  return command
    .option('--listener <name>', 'those of this listener, declared or not')
    .addOption(new Option('--operation <operation>', 'those of this operation').choices(storedOperations))
    .option('--error <text>', 'those whose error has this text in it')
    .option('--died-after <time>', 'those that died at this time or later (ISO 8601)', time)
    .option('--died-before <time>', 'those that died before', time)
    .addOption(new Option('--format <format>', 'how to print').choices(['table', 'json']).default('table'))
    .addOption(logLevelOption())
    .addOption(logFormatOption())
}

type Undefinable<T> = { [K in keyof T]: T[K] | undefined }

const given = (filter: Undefinable<DeadLetterFilter>) =>
  Object.fromEntries(Object.entries(filter).filter(([, value]) => value !== undefined)) as DeadLetterFilter

function id(text: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text)
  throw new InvalidArgumentError('Give the id of a dead letter, a whole number.')
}

const ids = (text: string, before: bigint[]): bigint[] => [...before, id(text)]

function time(text: string): Date {
  const date = new Date(text)
  if (/^\d{4}-/.test(text) && !Number.isNaN(date.getTime())) return date
  throw new InvalidArgumentError('Give a time like 2026-01-31 or 2026-01-31T12:00:00Z.')
}
