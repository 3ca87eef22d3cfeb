import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import type { Benchmark, Figure } from './benchmark.ts'
import { migratedDatabase } from './database.ts'
import { listenAndClaim, storeBare } from './floors/listen-and-claim.ts'
import { closeClient, mediaClient } from './media-client.ts'
import { graphileWorker, waitForJobs } from './peers/graphile-worker.ts'
import { quantileOf, rounded } from './statistics.ts'

const warmUp = 20
/** Milliseconds before each sample: then whoever handled the last one is asleep again. */
const idleFor = 15

/** From sending COMMIT until the handler starts, both workers idle and in this process, sampled in turn. */
export const latency: Benchmark = {
  name: 'latency',
  about: `commit until the handler starts, idle worker, p50 and p99; against ${graphileWorker}, one job at a time`,
  async run(stage) {
    const samples = stage.size(1_000, 200)
    await using database = await migratedDatabase(stage.serverUrl)
    const prisma = mediaClient(database.url)
    const client = new pg.Client(database.url)
    const ours = new Stopwatch()
    const theirs = new Stopwatch()
    const bare = new Stopwatch()
    prisma.media.onPostInsert('latency', ({ new: media }) => ours.arrived(media.url))
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    const runner = await waitForJobs(database.url, { latency: (payload) => theirs.arrived(payload) })
    await client.connect()
    const floor = await listenAndClaim(database.url, (payload) => bare.arrived(payload))
    try {
      for (let sample = -warmUp; sample < samples; sample++) {
        if (sample === 0) for (const stopwatch of [ours, theirs, bare]) stopwatch.reset()
        if (sample >= 0 && sample % 500 === 0) stage.progress(`${sample} of ${samples} samples`)
        await ours.time(client, 'insert into media (url) values ($1)', String(sample))
        await theirs.time(client, `select graphile_worker.add_job('latency', to_json($1::text))`, String(sample))
        await bare.time(client, storeBare, String(sample))
      }
      for (const stopwatch of [ours, theirs, bare]) stopwatch.expectNothingElse()
    } finally {
      await client.end()
      await floor[Symbol.asyncDispose]()
      await runner.stop()
      await closeClient(prisma)
    }
    return [
      { ...figure('latency-p50', 0.5, ours, theirs), goal: 0.8 },
      { ...figure('latency-p99', 0.99, ours, theirs), goal: 0.8 },
      figure('latency-bare-p50', 0.5, bare, theirs),
      figure('latency-bare-p99', 0.99, bare, theirs),
    ]
  },
}

function figure(name: string, quantile: number, ours: Stopwatch, theirs: Stopwatch): Figure {
  const value = quantileOf(ours.times, quantile)
  const ratio = value / quantileOf(theirs.times, quantile)
  return { name, value: rounded(value, 2), unit: 'ms', against: graphileWorker, ratio: rounded(ratio, 3) }
}

/** Times one message after another, and sees to it that each arrives once. */
class Stopwatch {
  times: number[] = []
  #awaited: { readonly label: string; readonly arrive: (at: number) => void } | null = null
  #unexpected: string[] = []

  reset(): void {
    this.times = []
  }

  /** Called by the handler, before anything else. */
  arrived(label: unknown): void {
    const at = performance.now()
    const awaited = this.#awaited
    this.#awaited = null
    if (awaited !== null && awaited.label === label) awaited.arrive(at)
    else this.#unexpected.push(String(label))
  }

  async time(client: pg.Client, statement: string, label: string): Promise<void> {
    await pause(idleFor)
    await client.query('begin')
    await client.query(statement, [label])
    const begun = performance.now()
    const arrival = this.#arrivalOf(label)
    await client.query('commit')
    this.times.push((await arrival) - begun)
  }

  /** @throws when something was handled that nobody waited for: a second time, or too late. */
  expectNothingElse(): void {
    if (this.#unexpected.length > 0) throw new Error(`Handled unasked: ${this.#unexpected.join(', ')}.`)
  }

  #arrivalOf(label: string): Promise<number> {
    return new Promise((resolve, reject) => {
      const tooLate = setTimeout(() => reject(new Error(`Sample ${label} was not handled within 30 s.`)), 30_000)
      this.#awaited = {
        label,
        arrive: (at) => {
          clearTimeout(tooLate)
          resolve(at)
        },
      }
    })
  }
}
