import type { Benchmark } from './benchmark.ts'
import { type Database, migratedDatabase } from './database.ts'
import { installListener, storeMedia } from './media-updates.ts'
import { type MediaWorker, startMediaWorker } from './media-worker.ts'
import { MediaWriter } from './media-writer.ts'
import { perSecond, rounded } from './statistics.ts'

const media = 20_000
const minutes = 10

/** While the most is looked for, the writer waits when so many changes are not handled yet. */
const mostWaiting = 2_000

/** Ten minutes at half of what is possible: does it stay as fast, and as small? */
export const soak: Benchmark = {
  name: 'soak',
  about: '10 minutes at half of the maximum: changes per second and size of the table; against the first minutes',
  async run(stage) {
    const seconds = stage.size(60, 1)
    await using database = await migratedDatabase(stage.serverUrl)
    await installListener(database)
    await storeMedia(database, media)
    await using worker = await startMediaWorker(database.url)
    const writer = new MediaWriter(database, media)
    const most = await mostPossible(worker, writer, seconds / 6)
    stage.progress(`${minutes} × ${seconds} s at half of ${rounded(most)} changes/s`)
    const rates: number[] = []
    const sizes: number[] = []
    for (let minute = 1; minute <= minutes; minute++) {
      const { rate, megabytes } = await oneMinute(database, worker, writer, seconds, most / 2)
      rates.push(rate)
      sizes.push(megabytes)
      const waiting = writer.written - worker.handled
      stage.progress(`minute ${minute}: ${rounded(rate)} changes/s, ${waiting} wait, ${rounded(megabytes, 1)} MB`)
    }
    await worker.until(writer.written)
    return [rateFigure(rates), sizeFigure(sizes, seconds)]
  },
}

function rateFigure([first, ...later]: number[]) {
  const slowest = Math.min(...later)
  const ratio = rounded(slowest / (first as number), 3)
  return {
    name: 'soak',
    value: rounded(slowest),
    unit: 'changes/s',
    against: 'the first minute',
    ratio,
    goal: 0.95,
  } as const
}

/** Where the whole takes less than autovacuum lets pass between two looks, the size says nothing. */
function sizeFigure(sizes: number[], seconds: number) {
  const half = sizes.length / 2
  const [before, after] = [Math.max(...sizes.slice(0, half)), Math.max(...sizes.slice(half))]
  const against = 'the largest of the first half'
  return {
    name: 'soak-size',
    value: rounded(after, 1),
    unit: 'MB',
    against,
    ratio: rounded(after / before, 3),
    goal: seconds < 60 ? undefined : 1.1,
  } as const
}

/** @returns changes per second that writer and worker reach together */
async function mostPossible(worker: MediaWorker, writer: MediaWriter, seconds: number): Promise<number> {
  const [begun, handled] = [performance.now(), worker.handled]
  while (performance.now() - begun < seconds * 1000) {
    await writer.write(200)
    await worker.until(writer.written - mostWaiting)
  }
  await worker.until(writer.written)
  return perSecond(worker.handled - handled, performance.now() - begun)
}

/** @returns what was handled per second, and how large the table and its indexes were at most */
async function oneMinute(database: Database, worker: MediaWorker, writer: MediaWriter, seconds: number, rate: number) {
  const [begun, handled] = [performance.now(), worker.handled]
  let megabytes = await sizeOf(database)
  const look = setInterval(async () => {
    megabytes = Math.max(megabytes, await sizeOf(database))
  }, 1_000)
  await writer.writeFor(seconds, rate)
  clearInterval(look)
  return { rate: perSecond(worker.handled - handled, performance.now() - begun), megabytes }
}

async function sizeOf(database: Database): Promise<number> {
  const { rows } = await database.pool.query(`select pg_total_relation_size('pgpubsub.notification') as bytes`)
  return Number(rows[0].bytes) / 1024 ** 2
}
