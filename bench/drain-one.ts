import type { Benchmark } from './benchmark.ts'
import { compareDrains } from './compare-drains.ts'
import { forSingleJobs, graphileWorker } from './peers/graphile-worker.ts'

const workers = 10
const oneByOne = (order: 'row' | 'none') => ({ workers, listener: { batchSize: 1, order } })

/** Each change in a transaction of its own, against graphile-worker with each job on its own. */
export const drainOne: Benchmark = {
  name: 'drain-one',
  about: `one change per transaction, ${workers} at a time; against ${graphileWorker} without batching, ${workers} concurrent jobs`,
  async run(stage) {
    const size = stage.size(6_000, 2_000)
    const few = stage.size(1_000, 500)
    const theirs = forSingleJobs
    return [
      // those jobs are in no order either
      await compareDrains(stage, { name: 'drain-one', size, ours: oneByOne('none'), theirs, goal: 1.2 }),
      await compareDrains(stage, { name: 'drain-one-ordered', size: few, ours: oneByOne('row'), theirs }),
    ]
  },
}
