import type { Benchmark, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { copyOf, type Database } from './database.ts'
import { backlogOf, drainMedia, type Media, updateOf } from './media-updates.ts'
import { RowOrder } from './row-order.ts'
import { perSecond, rounded } from './statistics.ts'
import { Tally } from './tally.ts'

const rows = 200

/** Few rows with many changes each, kept in the order of each row, against the same in any order. */
export const order: Benchmark = {
  name: 'order',
  about: `${rows} rows with 1,000 stored changes each, handled in the order of each row; against order: 'none'`,
  async run(stage) {
    const changes = stage.size(1_000, 100)
    stage.progress(`storing ${rows} × ${changes} changes, twice`)
    await using ordered = await backlogFor(stage, changes, 'row')
    await using unordered = await backlogFor(stage, changes, 'none')
    const sides = {
      ours: () => rateOn(stage, ordered, changes, 'row'),
      theirs: () => rateOn(stage, unordered, changes, 'none'),
    }
    const { ours, ratio } = await compare(stage, sides, 'per second')
    const against = `the same with order: 'none'`
    return [{ name: 'order', value: rounded(ours), unit: 'changes/s', against, ratio: rounded(ratio, 3), goal: 0.8 }]
  },
}

async function backlogFor(stage: Stage, updatesOfEach: number, order: 'row' | 'none'): Promise<Database> {
  const database = await backlogOf(stage.serverUrl, rows, { updatesOfEach, listener: { order } })
  await database.disconnect()
  return database
}

async function rateOn(stage: Stage, backlog: Database, changes: number, order: 'row' | 'none'): Promise<number> {
  await using copy = await copyOf(stage.serverUrl, backlog)
  const tally = new Tally(rows * changes)
  const rowOrder = new RowOrder(order === 'row')
  const handle = (media: Media) => {
    rowOrder.handle(media)
    tally.count((media.id - 1) * changes + updateOf(media))
  }
  const { total } = await drainMedia(copy, tally, { listener: { order }, handle })
  return perSecond(rows * changes, total)
}
