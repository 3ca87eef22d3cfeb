import pg from 'pg'
import type { Figure, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { perSecond, rounded } from './statistics.ts'
import { startWriteWorker, type WriteWorker } from './write-worker-process.ts'

const insert = { name: 'insert-media', text: 'insert into media (url, title) values ($1, $2)' }

/**
 * `writers` connections that insert one row per transaction while a worker, in a process of its own, handles what they
 * write; against the same writers and the same table while its trigger is disabled.
 */
export async function writeFigure(name: string, writers: number, goal: number, stage: Stage): Promise<Figure[]> {
  const milliseconds = stage.size(5_000, 1_500)
  await using database = await migratedDatabase(stage.serverUrl)
  await using worker = await startWriteWorker(database.url)
  await using crew = await startWriters(database.url, writers)
  const rate = async (trigger: 'enable' | 'disable') => {
    await database.pool.query(`alter table media ${trigger} trigger user`)
    const written = await writeFor(crew.clients, milliseconds)
    if (trigger === 'enable') await worker.expectHandled(written)
    await expectNothingLeft(database)
    return perSecond(written, milliseconds)
  }
  await warmUp(crew.clients, worker, milliseconds / 5)
  const { ours, ratio } = await compare(stage, { ours: () => rate('enable'), theirs: () => rate('disable') }, 'tps')
  const against = 'the same table without a trigger'
  return [{ name, value: rounded(ours), unit: 'tps', against, ratio: rounded(ratio, 3), goal }]
}

async function startWriters(url: string, count: number): Promise<AsyncDisposable & { clients: pg.Client[] }> {
  const clients = Array.from({ length: count }, () => new pg.Client(url))
  await Promise.all(clients.map((client) => client.connect()))
  return { clients, [Symbol.asyncDispose]: async () => void (await Promise.all(clients.map((client) => client.end()))) }
}

async function warmUp(clients: pg.Client[], worker: WriteWorker, milliseconds: number): Promise<void> {
  await worker.expectHandled(await writeFor(clients, milliseconds))
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
