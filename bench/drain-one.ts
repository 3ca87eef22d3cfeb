import type { Benchmark } from './benchmark.ts'
import { compareDrains } from './compare-drains.ts'
import type { Database } from './database.ts'
import { claimAndDelete } from './floors/claim-and-delete.ts'
import { drainMedia } from './media-updates.ts'
import { forSingleJobs, graphileWorker } from './peers/graphile-worker.ts'
import type { Tally } from './tally.ts'

const workers = 10
const oneByOne = (order: 'row' | 'none') => async (copy: Database, tally: Tally) =>
  (await drainMedia(copy, tally, { workers, listener: { batchSize: 1, order } })).total
const bare = (copy: Database, { size }: Tally) => claimAndDelete(copy, size, { limit: 1, connections: workers })

/** Each change in a transaction of its own, against graphile-worker with each job on its own. */
export const drainOne: Benchmark = {
  name: 'drain-one',
  about: `one change per transaction, ${workers} at a time; against ${graphileWorker} without batching, ${workers} concurrent jobs`,
  async run(stage) {
    const size = stage.size(6_000, 2_000)
    const few = stage.size(1_000, 500)
    const theirs = forSingleJobs
    const often = { ...stage, rounds: stage.rounds * 2 }
    return [
      // those jobs are in no order either
      await compareDrains(often, { name: 'drain-one', size, ours: oneByOne('none'), theirs, goal: 1.2 }),
      await compareDrains(stage, { name: 'drain-one-bare', size, ours: bare, theirs }),
      await compareDrains(stage, { name: 'drain-one-ordered', size: few, ours: oneByOne('row'), theirs }),
    ]
  },
}
