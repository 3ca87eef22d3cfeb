import type { Benchmark } from './benchmark.ts'
import { compare } from './compare.ts'
import { copyOf, type Database } from './database.ts'
import { claimAndDelete } from './floors/claim-and-delete.ts'
import { drainMedia } from './media-updates.ts'
import { perSecond, rounded } from './statistics.ts'
import { Tally } from './tally.ts'

/** Stored changes handled per second, against a loop that only claims and deletes the same rows. */
export const drain: Benchmark = {
  name: 'drain',
  about: 'stored changes, typed and decoded, no-op handler, one process; against a bare claim-and-delete loop',
  async run(stage) {
    const size = stage.size(100_000, 20_000)
    const backlog = await stage.backlog(size)
    const rateOn = async (work: (copy: Database) => Promise<number>) => {
      await using copy = await copyOf(stage.serverUrl, backlog)
      return perSecond(size, await work(copy))
    }
    const sides = {
      ours: () => rateOn(async (copy) => (await drainMedia(copy, new Tally(size))).total),
      theirs: () => rateOn((copy) => claimAndDelete(copy, size)),
    }
    // a round is short
    const { ours, ratio } = await compare({ ...stage, rounds: stage.rounds * 3 }, sides, 'per second')
    const against = 'bare claim-and-delete loop of 1,000'
    return [{ name: 'drain', value: rounded(ours), unit: 'changes/s', against, ratio: rounded(ratio, 3), goal: 0.6 }]
  },
}
