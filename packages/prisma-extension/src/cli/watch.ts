import { setTimeout as sleep } from 'node:timers/promises'
import { Command, InvalidArgumentError } from '@commander-js/extra-typings'
import type { ListenerStatus } from '@pgpubsub/core'
import { createLogUpdate } from 'log-update'
import { describe } from './failure.js'
import { logFormatOption, logLevelOption } from './log.js'
import { moduleOrUrl, schemaOption, urlOption } from './module-or-url.js'
import { print } from './print.js'
import { run } from './run.js'
import { statusLines, statusTable } from './status-table.js'
import { stopSignal } from './stop-signal.js'

const help = `
On a terminal it is a table that is drawn again; elsewhere, lines: one for each listener each time. What the columns mean says
pgpubsub status --help. SIGTERM or SIGINT (Ctrl-C) ends it. While the database cannot be reached it goes on trying.

Examples:
  $ pgpubsub watch src/listeners.ts
  $ pgpubsub watch --url postgresql://… --interval 60 >> queue.log`

export function watchCommand() {
  return new Command('watch')
    .description('show what every listener has in the database, again and again')
    .argument('[module]', 'file that exports the Prisma Client with its listeners (default: none, but --url)')
    .addOption(urlOption())
    .addOption(schemaOption())
    .option('--interval <seconds>', 'how often', seconds, 2)
    .option('--json', 'one JSON object a line, instead of a table')
    .addOption(logLevelOption())
    .addOption(logFormatOption())
    .addHelpText('after', help)
    .action((module, { url, schema, interval, json, ...log }, command) =>
      run(moduleOrUrl(module, { url, schema }, command), { ...log, logTo: 2 }, async ({ $pubsub }, log) => {
        const stopped = new AbortController()
        const stop = stopSignal().then(() => stopped.abort())
        const screen = json ? jsonLines : process.stdout.isTTY ? table() : lines
        await screen.show(await $pubsub.status())
        while (await pause(interval * 1000, stopped.signal)) {
          try {
            await screen.show(await $pubsub.status())
          } catch (error) {
            log.error(describe(error))
          }
        }
        screen.end()
        await stop
      }),
    )
}

/** Where the figures are shown. */
interface Screen {
  show(listeners: readonly ListenerStatus[]): Promise<void>
  end(): void
}

function table(): Screen {
  const draw = createLogUpdate(process.stdout)
  return {
    show: async (listeners) => draw(`${statusTable(listeners)}\n${new Date().toLocaleTimeString()}  Ctrl-C ends it.`),
    end: () => draw.done(),
  }
}

const lines: Screen = { show: (listeners) => print(statusLines(listeners, new Date())), end: () => {} }

const jsonLines: Screen = {
  show: (listeners) => {
    const at = new Date()
    return print(listeners.map((status) => `${JSON.stringify({ at, ...status })}\n`).join(''))
  },
  end: () => {},
}

/** @returns false where it was ended by the signal */
const pause = (milliseconds: number, signal: AbortSignal): Promise<boolean> =>
  sleep(milliseconds, true, { signal }).catch(() => false)

function seconds(text: string): number {
  const value = Number(text)
  if (/^\d+(\.\d+)?$/.test(text) && value >= 0.1 && value <= 86_400) return value
  throw new InvalidArgumentError('Give a number of seconds, from 0.1 to 86400.')
}
