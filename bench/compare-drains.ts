import type { Figure, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { copyOf, type Database } from './database.ts'
import { doJobs, graphileWorker, storeJobs, type WorkerOptions } from './peers/graphile-worker.ts'
import { perSecond, rounded } from './statistics.ts'
import { Tally } from './tally.ts'

export interface Drains {
  readonly name: string
  readonly size: number
  /** Handles all of them. @returns milliseconds */
  readonly ours: (copy: Database, tally: Tally) => Promise<number>
  readonly theirs: WorkerOptions
  readonly goal?: number
}

/** Stored changes handled per second, against as many jobs of the same payload done by graphile-worker. */
export async function compareDrains(stage: Stage, { name, size, ours, theirs, goal }: Drains): Promise<Figure> {
  await using backlog = await copyOf(stage.serverUrl, await stage.backlog(size))
  stage.progress('storing as many jobs')
  await storeJobs(backlog)
  await backlog.disconnect()
  const rateOn = async (work: (copy: Database, tally: Tally) => Promise<number>) => {
    await using copy = await copyOf(stage.serverUrl, backlog)
    return perSecond(size, await work(copy, new Tally(size)))
  }
  const sides = {
    ours: () => rateOn(ours),
    theirs: () => rateOn((copy, tally) => doJobs(copy, tally, theirs)),
  }
  const compared = await compare(stage, sides, 'per second')
  const ratio = rounded(compared.ratio, 3)
  return { name, value: rounded(compared.ours), unit: 'changes/s', against: graphileWorker, ratio, goal }
}
