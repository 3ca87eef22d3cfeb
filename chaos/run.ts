/* Entry of `npm run chaos`. The report goes to standard output, progress to standard error. */
import { Command, InvalidArgumentError } from '@commander-js/extra-typings'
import { chaos } from './chaos.ts'
import { plan } from './plan.ts'
import { textOf } from './report.ts'

const {
  minutes,
  seed,
  workers,
  json,
  quiet,
  keep = false,
  plan: shown,
} = new Command('chaos')
  .description('Writers and workers on a server of their own, trouble of every kind, and a check of what is promised.')
  .option('--minutes <n>', 'how long there is trouble', positive, 1)
  .option('--seed <n>', 'decides what goes wrong, and in which order (default: a random one)', wholeNumber)
  .option('--workers <n>', 'worker processes', wholeNumber, 3)
  .option('--json', 'the report as one line of JSON')
  .option('--quiet', 'no progress')
  .option('--keep', 'keep what the processes have written down, also where nothing was violated')
  .option('--plan <n>', 'only show the first so many troubles of the seed', wholeNumber)
  .addHelpText('after', '\nIt ends with 1 where something was violated, and says what, and with which seed.')
  .parse()
  .opts()

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

const chosenSeed = seed ?? Math.floor(Math.random() * 1_000_000)
if (shown === undefined) await run()
else {
  const planned = plan(chosenSeed, workers)
  for (let count = 0; count < shown; count++) console.log(JSON.stringify(planned.next().value))
}

async function run(): Promise<void> {
  const progress = (line: string) => void (quiet || console.error(line))
  progress(`seed ${chosenSeed}`)
  const report = await chaos({ minutes, seed: chosenSeed, workers, keep, progress })
  console.log(json ? JSON.stringify(report) : textOf(report))
  if (report.violations.length > 0) process.exitCode = 1
}

function positive(text: string): number {
  if (Number(text) > 0) return Number(text)
  throw new InvalidArgumentError('Give a number above 0.')
}

function wholeNumber(text: string): number {
  if (/^\d{1,9}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number, 0 or more.')
}
