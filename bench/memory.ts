import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Benchmark, Stage } from './benchmark.ts'
import { copyOf } from './database.ts'
import type { MemoryReport } from './memory-worker.ts'
import { rounded } from './statistics.ts'
import { expectStored } from './stored.ts'

const megabytes = (bytes: number) => rounded(bytes / 1024 ** 2, 2)

const growthOf = ({ heapPeak, heapBefore }: MemoryReport) => heapPeak - heapBefore

/** A worker's memory while it drains a backlog, against a backlog a hundredth as long. */
export const memory: Benchmark = {
  name: 'memory',
  about: 'heap after collections while a long backlog is drained; against one a hundredth as long',
  async run(stage) {
    const size = stage.size(1_000_000, 100_000)
    const short = Math.min(size, Math.max(1_000, Math.round(size / 100)))
    const long = await drained(stage, size)
    const reference = await drained(stage, short)
    const against = `a backlog of ${short.toLocaleString('en')}`
    return [
      {
        name: 'memory-heap',
        value: megabytes(long.heapPeak),
        unit: 'MB',
        against,
        ratio: rounded(long.heapPeak / reference.heapPeak, 3),
        goal: 1.1,
      },
      {
        name: 'memory-growth',
        value: megabytes(growthOf(long)),
        unit: 'MB',
        against: '8 MB',
        ratio: rounded(growthOf(long) / (8 * 1024 ** 2), 3),
        goal: 1,
      },
      {
        name: 'memory-resident',
        value: megabytes(long.residentPeak),
        unit: 'MB',
        against,
        ratio: rounded(long.residentPeak / reference.residentPeak, 3),
        goal: 1.1,
      },
    ]
  },
}

/** Drains a backlog in a process of its own. @throws when something was left, or handled twice */
async function drained(stage: Stage, size: number): Promise<MemoryReport> {
  await using database = await copyOf(stage.serverUrl, await stage.backlog(size))
  const child = fork(fileURLToPath(new URL('./memory-worker.ts', import.meta.url)), [database.url, String(size)], {
    execArgv: [...process.execArgv, '--expose-gc'],
    stdio: 'inherit',
  })
  stage.progress(`draining ${size.toLocaleString('en')} changes`)
  const [report] = (await Promise.race([once(child, 'message'), endOf(child)])) as [MemoryReport]
  if (report.handled !== size) throw new Error(`${report.handled} of ${size} changes were handled.`)
  await expectStored(database, 0)
  stage.progress(`heap + ${megabytes(growthOf(report))} MB, at most ${megabytes(report.residentPeak)} MB resident`)
  return report
}

async function endOf(child: ReturnType<typeof fork>): Promise<never> {
  const [code] = await once(child, 'exit')
  throw new Error(`The worker process ended with ${code}.`)
}
