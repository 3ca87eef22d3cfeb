import type { Benchmark } from './benchmark.ts'
import { compareDrains } from './compare-drains.ts'
import type { Database } from './database.ts'
import { drainMedia } from './media-updates.ts'
import { forThroughput, graphileWorker } from './peers/graphile-worker.ts'
import type { Tally } from './tally.ts'

/** Stored changes handled per second, against graphile-worker at its best with jobs of the same payload. */
export const drainPeer: Benchmark = {
  name: 'drain-peer',
  about: `the same; against ${graphileWorker} with a local queue of 500, 24 concurrent jobs, batched completion`,
  async run(stage) {
    const size = stage.size(100_000, 20_000)
    const ours = async (copy: Database, tally: Tally) => (await drainMedia(copy, tally)).total
    return [await compareDrains(stage, { name: 'drain-peer', size, ours, theirs: forThroughput, goal: 2 })]
  },
}
