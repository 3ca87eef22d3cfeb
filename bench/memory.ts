import { type ChildProcess, fork } from 'node:child_process'
import { on, once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Benchmark, Stage } from './benchmark.ts'
import { copyOf, type Database } from './database.ts'
import { updateMedia } from './media-updates.ts'
import type { MemoryReport } from './memory-worker.ts'
import { rounded } from './statistics.ts'
import { expectStored } from './stored.ts'

const megabytes = (bytes: number) => rounded(bytes / 1024 ** 2, 2)

const growthOf = ({ heapPeak, heapBefore }: MemoryReport) => heapPeak - heapBefore

/**
 * A worker's memory while it drains a backlog, against a worker that handles as many changes of backlogs a hundredth as long.
 * As many: a process that has handled little has compiled less, and its young generation has not grown yet.
 */
export const memory: Benchmark = {
  name: 'memory',
  about: 'memory while a long backlog is drained; against as many changes in backlogs a hundredth as long',
  async run(stage) {
    const size = stage.size(1_000_000, 100_000)
    const short = Math.min(size, Math.max(5_000, Math.round(size / 100)))
    const long = await drained(stage, size, 1)
    const reference = await drained(stage, short, Math.round(size / short))
    const against = `as many in backlogs of ${short.toLocaleString('en')}`
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

/** Drains so many backlogs in a process of its own, one after the other. @throws when something was left, or handled twice */
async function drained(stage: Stage, size: number, backlogs: number): Promise<MemoryReport> {
  await using database = await copyOf(stage.serverUrl, await stage.backlog(size))
  stage.progress(`draining ${backlogs} × ${size.toLocaleString('en')} changes`)
  const total = size * backlogs
  const child = fork(fileURLToPath(new URL('./memory-worker.ts', import.meta.url)), [database.url, String(total)], {
    execArgv: [...process.execArgv, '--expose-gc'],
    stdio: 'inherit',
  })
  const exited = once(child, 'exit')
  const report = await Promise.race([drainedAgain(child, database, size, total), failure(exited)])
  child.disconnect()
  await exited
  if (report.handled !== total) throw new Error(`${report.handled} of ${total} changes were handled.`)
  await expectStored(database, 0)
  stage.progress(`heap + ${megabytes(growthOf(report))} MB, at most ${megabytes(report.residentPeak)} MB resident`)
  return report
}

/** Stores the next backlog when the last one is drained. @returns the report of the last */
async function drainedAgain(child: ChildProcess, database: Database, size: number, total: number) {
  let written = size
  for await (const [message] of on(child, 'message')) {
    const report = message as MemoryReport
    if (report.handled < written) continue
    if (written === total) return report
    written += size
    await updateMedia(database, 1, size, written / size)
  }
  throw new Error('There are no more messages.')
}

async function failure(exited: Promise<unknown[]>): Promise<never> {
  const [code] = await exited
  throw new Error(`The worker process ended with ${code}.`)
}
