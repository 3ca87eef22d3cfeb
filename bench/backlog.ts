import type { Benchmark, Stage } from './benchmark.ts'
import { copyOf } from './database.ts'
import { drainMedia } from './media-updates.ts'
import { medianOf, perSecond, rounded } from './statistics.ts'
import { Tally } from './tally.ts'

/** The rate at which a long backlog is drained, against one a hundredth as long. */
export const backlog: Benchmark = {
  name: 'backlog',
  about: 'stored changes handled per second of a long backlog; against one a hundredth as long',
  async run(stage) {
    const size = stage.size(1_000_000, 100_000)
    const short = Math.min(size, Math.max(1_000, Math.round(size / 100)))
    const shortRates = await ratesOf(stage, short, stage.rounds)
    const [rate] = (await ratesOf(stage, size, 1)) as [number]
    // before and after: what disturbs the machine for a while disturbs both
    shortRates.push(...(await ratesOf(stage, short, stage.rounds)))
    const against = `a backlog of ${short.toLocaleString('en')}`
    const ratio = rounded(rate / medianOf(shortRates), 3)
    return [{ name: 'backlog', value: rounded(rate), unit: 'changes/s', against, ratio, goal: 0.9 }]
  },
}

/** From the first change on: connecting would count for much in a short backlog. */
async function ratesOf(stage: Stage, size: number, rounds: number): Promise<number[]> {
  const rates: number[] = []
  const stored = await stage.backlog(size)
  for (let round = 0; round < rounds; round++) {
    await using copy = await copyOf(stage.serverUrl, stored)
    const { sinceFirstChange } = await drainMedia(copy, new Tally(size))
    rates.push(perSecond(size, sinceFirstChange))
  }
  stage.progress(
    `${size.toLocaleString('en')} changes: ${rates.map((rate) => rate.toPrecision(4)).join(', ')} per second`,
  )
  return rates
}
