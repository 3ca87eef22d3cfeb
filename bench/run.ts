/* Entry of `npm run bench`. Figures go to standard output, progress to standard error. */
import { startPostgres } from '../tools/postgres-server.ts'
import type { Figure, Stage } from './benchmark.ts'
import { benchmarks } from './benchmarks.ts'
import { type BenchOptions, readOptions, usage } from './options.ts'
import { jsonLine, table } from './report.ts'

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

async function measure({ chosen, quick, json, scale }: BenchOptions): Promise<void> {
  const server = await startPostgres({ settings: durable })
  try {
    const figures: Figure[] = []
    for (const benchmark of chosen) {
      const measured = await benchmark.run(stageOf(benchmark.name, server.url, quick, scale))
      figures.push(...measured)
      if (json) for (const figure of measured) console.log(jsonLine(figure))
    }
    if (!json) console.log(table(figures))
  } finally {
    await server.stop()
  }
}

function stageOf(name: string, serverUrl: string, quick: boolean, scale: number): Stage {
  return {
    serverUrl,
    rounds: 3,
    size: (full, small) => Math.max(1, Math.round((quick ? small : full) * scale)),
    progress: (text) => console.error(`${name}: ${text}`),
  }
}
