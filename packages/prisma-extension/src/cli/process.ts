import { Command, Option } from '@commander-js/extra-typings'
import { context } from './context.js'
import { count } from './count.js'
import { logFormatOption, logLevelOption } from './log.js'
import { moduleArgument } from './module-argument.js'
import { names } from './names.js'
import { print } from './print.js'
import { run } from './run.js'
import { stopSignal } from './stop-signal.js'

const help = `
For a cron job: it handles what is ready, what handlers write meanwhile included, and ends. Any number of these and of workers may
run at once. What a handler throws is logged and tried again later, and is no failure of this command. SIGTERM or SIGINT ends it:
what was not handled stays stored.

Examples:
  $ pgpubsub process src/listeners.ts
  $ pgpubsub process src/listeners.ts --max 1000 --max-ms 50000
  $ pgpubsub process src/listeners.ts --context '{"tenant":"a"}'`

/** `pgpubsub process`. */
export function processCommand() {
  return new Command('process')
    .description('handle what is ready, and end')
    .addArgument(moduleArgument())
    .option('--listeners <names>', 'only these listeners, by name, with commas between (default: all)', names)
    .option(
      '--context <json>',
      'only changes whose context contains this, such as {"tenant":"a"} (default: all)',
      context,
    )
    .option('--max <n>', 'the most attempts that are made (default: no limit)', count)
    .option('--max-ms <n>', 'milliseconds after which nothing more is claimed (default: no limit)', count)
    .addOption(new Option('--format <format>', 'how to print').choices(['text', 'json']).default('text'))
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { listeners, context, max, maxMs, format, ...log }) =>
      run(module, { ...log, logTo: 2 }, async ({ $pubsub }) => {
        const stop = new AbortController()
        void stopSignal().then(() => stop.abort())
        const chosen = { ...(listeners && { listeners }), ...(context && { context }) }
        const limits = { ...(max && { max }), ...(maxMs && { maxMs }) }
        const result = await $pubsub.process({ ...chosen, ...limits, signal: stop.signal })
        const text = `processed ${result.processed}, remaining ${result.remaining}`
        await print(`${format === 'json' ? JSON.stringify(result) : text}\n`)
      }),
    )
}
