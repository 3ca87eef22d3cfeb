import pg from 'pg'
import type { Figure, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { perSecond, rounded } from './statistics.ts'
import { startWriteWorker } from './write-worker-process.ts'

const insert = { name: 'insert-media', text: 'insert into media (url, title) values ($1, $2)' }

/** Whose trigger fires: that of the listener with the default, of the one that always notifies, or none. */
type Firing = 'idle' | 'always' | 'none'

/** A figure of {@link writeFigures}: what it is compared with is the same for all. */
export interface WriteFigure {
  readonly name: string
  readonly firing: Firing
  /** Milliseconds of one side of one round. */
  readonly milliseconds: number
  readonly goal?: number
}

/**
 * `writers` connections that insert one row per transaction while a worker, in a process of its own, handles what they
 * write; against the same writers and the same table while its triggers are disabled.
 */
export async function writeFigures(writers: number, figures: readonly WriteFigure[], stage: Stage): Promise<Figure[]> {
  await using database = await migratedDatabase(stage.serverUrl)
  await using worker = await startWriteWorker(database.url)
  await using crew = await startWriters(database.url, writers)
  const rate = async (firing: Firing, milliseconds: number) => {
    await fire(database, firing)
    const written = await writeFor(crew.clients, milliseconds)
    if (firing !== 'none') await worker.expectHandled(written)
    await expectNothingLeft(database)
    return perSecond(written, milliseconds)
  }
  const measured: Figure[] = []
  for (const { name, firing, milliseconds, goal } of figures) {
    await rate(firing, milliseconds / 5)
    const sides = { ours: () => rate(firing, milliseconds), theirs: () => rate('none', milliseconds) }
    const { ours, ratio } = await compare(stage, sides, 'tps')
    const against = 'the same table without a trigger'
    measured.push({ name, value: rounded(ours), unit: 'tps', against, ratio: rounded(ratio, 3), ...(goal && { goal }) })
  }
  return measured
}

async function fire({ pool }: Database, firing: Firing): Promise<void> {
  await pool.query('alter table media disable trigger user')
  if (firing !== 'none') await pool.query(`alter table media enable trigger "~pgpubsub insert ${firing}"`)
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

async function expectNothingLeft(database: Database): Promise<void> {
  const { rows } = await database.pool.query('select exists (select from pgpubsub.notification) as left')
  if (rows[0].left) throw new Error('Notifications are left where all should have been handled.')
}
