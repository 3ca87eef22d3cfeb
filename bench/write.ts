import pg from 'pg'
import type { Figure, Stage } from './benchmark.ts'
import { type Comparison, compareAll } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { addBareTrigger, takeBare } from './floors/bare-trigger.ts'
import { perSecond, rounded } from './statistics.ts'
import { expectStored } from './stored.ts'
import { startWriteWorker } from './write-worker-process.ts'

const insert = { name: 'insert-media', text: 'insert into media (url, title) values ($1, $2)' }

/** Whose trigger fires: that of the listener with the default, of the one that always notifies, the bare one, or none. */
type Trigger = 'idle' | 'always' | 'bare' | 'none'

/** A figure of {@link writeFigures}: what it is compared with is the same for all. */
export interface WriteFigure {
  readonly name: string
  readonly trigger: Trigger
  /** Whether a worker, in a process of its own, handles meanwhile what is written. Else none runs. */
  readonly worker: boolean
  readonly goal?: number
}

/**
 * `writers` connections that insert one row per transaction, against the same writers and the same table while its triggers
 * are disabled. Each for so many milliseconds, in turn.
 */
export async function writeFigures(
  writers: number,
  milliseconds: number,
  figures: readonly WriteFigure[],
  stage: Stage,
): Promise<Figure[]> {
  await using database = await migratedDatabase(stage.serverUrl)
  await using worker = await startWriteWorker(database.url)
  await addBareTrigger(database, 'insert')
  await using crew = await startWriters(database.url, writers)
  const rate = async ({ trigger, worker: handles }: Omit<WriteFigure, 'name'>, duration = milliseconds) => {
    await fire(database, trigger)
    if (handles) await worker.listen()
    // a worker that has just started plans its statements first
    const before = await writeFor(crew.clients, duration / 8)
    const written = await writeFor(crew.clients, duration)
    if (handles) {
      await worker.expectHandled(before + written)
      await worker.stop()
    } else await takeStored(database, trigger, before + written)
    await expectStored(database, 0)
    return perSecond(written, duration)
  }
  for (const figure of figures) await rate(figure, milliseconds / 5)
  const sides = figures.map((figure) => () => rate(figure))
  // many short rounds: what disturbs the machine comes and goes within seconds
  const often = { ...stage, rounds: stage.rounds * 3 }
  const compared = await compareAll(often, sides, () => rate({ trigger: 'none', worker: false }), 'tps')
  const against = 'the same table without a trigger'
  return figures.map(({ name, goal }, index) => {
    const { ours, ratio } = compared[index] as Comparison
    return { name, value: rounded(ours), unit: 'tps', against, ratio: rounded(ratio, 3), goal }
  })
}

async function fire({ pool }: Database, trigger: Trigger): Promise<void> {
  await pool.query('alter table media disable trigger user')
  if (trigger === 'none') return
  const name = trigger === 'bare' ? 'bare' : `~pgpubsub insert ${trigger}`
  await pool.query(`alter table media enable trigger "${name}"`)
}

/** Removes what nobody handles. @throws where not all of it was stored */
async function takeStored(database: Database, trigger: Trigger, written: number): Promise<void> {
  if (trigger === 'none') return
  if (trigger === 'bare') return takeBare(database, written)
  await expectStored(database, written)
  await database.pool.query('truncate pgpubsub.notification')
}

async function startWriters(url: string, count: number): Promise<AsyncDisposable & { clients: pg.Client[] }> {
  const clients = Array.from({ length: count }, () => new pg.Client(url))
  await Promise.all(clients.map((client) => client.connect()))
  return { clients, [Symbol.asyncDispose]: async () => void (await Promise.all(clients.map((client) => client.end()))) }
}

/** Writes for so long. @returns how many rows */
async function writeFor(clients: pg.Client[], milliseconds: number): Promise<number> {
  const end = performance.now() + milliseconds
  const write = async (client: pg.Client) => {
    let written = 0
    for (; performance.now() < end; written++)
      await client.query({ ...insert, values: ['file:///media/1.jpg', 'a picture'] })
    return written
  }
  const counts = await Promise.all(clients.map(write))
  return counts.reduce((sum, count) => sum + count, 0)
}
