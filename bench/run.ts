/* Entry of `npm run bench`. Figures go to standard output, progress to standard error. */
import { startPostgres } from '../tools/postgres-server.ts'
import { Backlogs } from './backlogs.ts'
import type { Figure, Stage } from './benchmark.ts'
import { benchmarks } from './benchmarks.ts'
import { describeMachine } from './machine.ts'
import { type BenchOptions, readOptions, usage } from './options.ts'
import { jsonLine, table } from './report.ts'
import { currentCommit, type Run, saveFigures } from './results.ts'

/** The test server's shortcuts taken back: a commit waits for the disk here, as it does in production. */
const durable = { fsync: 'on', full_page_writes: 'on', synchronous_commit: 'on' }

const options = optionsOrExit()
if (options.help) console.log(usage(benchmarks))
else await measure(options)

function optionsOrExit(): BenchOptions {
  try {
    return readOptions(process.argv.slice(2), benchmarks)
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage(benchmarks)}`)
    process.exit(2)
  }
}

async function measure({ chosen, quick, json, save, scale, rounds }: BenchOptions): Promise<void> {
  const server = await startPostgres({ settings: durable })
  try {
    const figures: Figure[] = []
    const run: Run = {
      machine: await describeMachine(server.url),
      date: new Date().toISOString().slice(0, 10),
      commit: currentCommit(),
    }
    await using backlogs = new Backlogs(server.url)
    const size = (full: number, small: number) => Math.max(1, Math.round((quick ? small : full) * scale))
    for (const [index, benchmark] of chosen.entries()) {
      const progress = (text: string) => tell(`${index + 1}/${chosen.length} ${benchmark.name}: ${text}`)
      progress(benchmark.about)
      const backlog: Stage['backlog'] = (rows) => backlogs.of(rows, progress)
      const measured = await benchmark.run({ serverUrl: server.url, rounds, size, backlog, progress })
      figures.push(...measured)
      if (json) for (const figure of measured) console.log(jsonLine(figure))
      if (save) saveFigures(run, benchmark.name, measured)
    }
    if (!json) console.log(table(figures))
  } finally {
    await server.stop()
  }
}

/** With the minutes and seconds since the start. */
function tell(text: string): void {
  const seconds = Math.floor(performance.now() / 1000)
  console.error(`${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}  ${text}`)
}
