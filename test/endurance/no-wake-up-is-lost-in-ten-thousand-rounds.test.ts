import type { PubSub } from '@pgpubsub/core'
import type pg from 'pg'
import { passing } from '../support/counting-pool.ts'
import { noPoll } from '../support/items.ts'
import { seeded } from '../support/seeded.ts'
import { expect, type TestDatabase, test } from '../support/test.ts'

const rounds = 10_000
// Lines side by side, and how many workers each has. Each also has an engine and a table of its own: what is written on
// one hides nothing on the others. Most have one worker, since a second one might hide that the first sleeps too well.
const workersOfLines = [1, 1, 1, 1, 1, 1, 2, 3]

const seed = Number(process.env.SEED ?? Date.now())
const random = seeded(seed)
const pause = (most: number) => passing(random() * most)

/** Rows that were committed, and not yet handled. */
class Awaited {
  readonly #handled = new Set<number>()
  #ids: readonly number[] = []
  #check: () => void = () => {}

  handled(id: number): void {
    this.#handled.add(id)
    this.#check()
  }

  missing(): number[] {
    return this.#ids.filter((id) => !this.#handled.has(id))
  }

  /** Waits until these were handled. False where that takes so long that nobody is about to. */
  async all(ids: readonly number[]): Promise<boolean> {
    this.#ids = ids
    const complete = new Promise<true>((resolve) => {
      this.#check = () => void (this.missing().length === 0 && resolve(true))
      this.#check()
    })
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), 10_000)
    })
    const isComplete = await Promise.race([complete, tooLong])
    clearTimeout(timer)
    this.#handled.clear()
    return isComplete
  }
}

/** A table, its listener, its writers. */
interface Line {
  readonly awaited: Awaited
  readonly writers: readonly pg.PoolClient[]
  /** A statement that inserts so many rows, and their ids. */
  readonly insert: (count: number) => { sql: string; ids: number[] }
}

async function openLine(database: TestDatabase, number: number, workers: number): Promise<Line> {
  const table = `item_${number}`
  await database.sql(`create table ${table} (id int primary key)`)
  const awaited = new Awaited()
  const engines: PubSub[] = []
  for (let worker = 0; worker < workers; worker++) {
    const engine = database.core({ ...noPoll, schema: `engine_${number}` })
    engine.onChange({ name: 'items', table }, ({ new: item }) => awaited.handled(item?.id as number))
    engines.push(engine)
  }
  await engines[0]?.install()
  for (const engine of engines) await engine.listen()
  let last = 0
  const insert = (count: number) => {
    const ids = Array.from({ length: count }, () => ++last)
    return { sql: `insert into ${table} values ${ids.map((id) => `(${id})`).join()}`, ids }
  }
  const writers = await Promise.all([0, 1, 2].map(() => database.pool.connect()))
  database.closeLater(async () => {
    for (const writer of writers) writer.release(true)
  })
  return { awaited, writers, insert }
}

type Shape = (client: pg.PoolClient, insert: Line['insert']) => Promise<number[]>

const bulk = async (client: pg.PoolClient, { sql, ids }: ReturnType<Line['insert']>) => {
  await client.query(sql)
  return ids
}

/** Each returns the ids that it has committed. */
const shapes: readonly Shape[] = [
  (client, insert) => bulk(client, insert(1)),
  (client, insert) => bulk(client, insert(1)),
  (client, insert) => bulk(client, insert(2 + Math.floor(random() * 20))),
  // long: between its insert and its commit workers fall asleep
  async (client, insert) => {
    const { sql, ids } = insert(1)
    await client.query(`begin; ${sql}`)
    await pause(10)
    await client.query('commit')
    return ids
  },
  async (client, insert) => {
    const [first, second] = [insert(1), insert(1)]
    await client.query(`begin; ${first.sql}`)
    await client.query(second.sql)
    await client.query('commit')
    return [...first.ids, ...second.ids]
  },
  async (client, insert) => {
    const kept = insert(1)
    await client.query(`begin; savepoint s; ${insert(1).sql}`)
    await client.query(`rollback to savepoint s; ${kept.sql}; commit`)
    return kept.ids
  },
  async (client, insert) => {
    const kept = insert(1)
    await client.query(`begin; ${kept.sql}; savepoint s; ${insert(1).sql}`)
    await pause(4)
    await client.query('rollback to savepoint s; commit')
    return kept.ids
  },
  async (client, insert) => {
    await client.query(`begin; ${insert(1).sql}`)
    await pause(4)
    await client.query('rollback')
    return []
  },
]

/** One to three writers at once, each beginning at some moment while the workers fall asleep. */
async function round({ awaited, writers, insert }: Line): Promise<boolean> {
  const busy = writers.slice(0, 1 + Math.floor(random() * random() * writers.length))
  const committed = await Promise.all(
    busy.map(async (client) => {
      await pause(random() < 0.5 ? 3 : 8)
      const shape = shapes[Math.floor(random() * shapes.length)] as Shape
      return shape(client, insert)
    }),
  )
  return awaited.all(committed.flat())
}

test('in 10,000 random rounds of writers and workers nothing is stranded, without any slow poll', {
  timeout: 120_000,
}, async ({ database }) => {
  database.pool.options.max = 3 * workersOfLines.length + 5
  const all = await Promise.all(workersOfLines.map((workers, line) => openLine(database, line, workers)))
  let begun = 0
  let stranded = 0
  const started = performance.now()
  await Promise.all(
    all.map(async (line) => {
      // after a few there is nothing more to learn
      while (begun < rounds && stranded < 20) {
        begun++
        if (!(await round(line))) stranded++
      }
    }),
  )
  const seconds = ((performance.now() - started) / 1000).toFixed(1)
  console.log(`${begun} rounds in ${seconds} s, seed ${seed}: ${stranded} stranded`)
  expect([begun, stranded]).toEqual([rounds, 0])
})
