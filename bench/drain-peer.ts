import { backlogOf, drainBacklog } from './backlog.ts'
import type { Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { copyOf, type Database } from './database.ts'
import { doJobs, graphileWorker, storeJobs } from './peers/graphile-worker.ts'
import { perSecond, rounded } from './statistics.ts'
import { Tally } from './tally.ts'

/** Stored changes handled per second, against graphile-worker at its best with jobs of the same payload. */
export const drainPeer: Benchmark = {
  name: 'drain-peer',
  about: `the same; against ${graphileWorker} with a local queue of 500, 24 concurrent jobs, batched completion`,
  async run(stage) {
    const size = stage.size(100_000, 20_000)
    stage.progress(`storing ${size} changes and as many jobs`)
    await using backlog = await backlogOf(stage.serverUrl, size)
    await storeJobs(backlog)
    await backlog.disconnect()
    const rateOn = async (work: (copy: Database, tally: Tally) => Promise<number>) => {
      await using copy = await copyOf(stage.serverUrl, backlog)
      return perSecond(size, await work(copy, new Tally(size)))
    }
    const sides = { ours: () => rateOn(drainBacklog), theirs: () => rateOn(doJobs) }
    const { ours, ratio } = await compare(stage, sides, 'per second')
    return [
      {
        name: 'drain-peer',
        value: rounded(ours),
        unit: 'changes/s',
        against: graphileWorker,
        ratio: rounded(ratio, 3),
      },
    ]
  },
}
