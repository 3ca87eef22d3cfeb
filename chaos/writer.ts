/* Writers as a process of their own: `writer.ts URL RECORD SEED SHARED-ROWS`. SIGTERM lets them end what they are at. */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { closeClient, mediaClient } from '../bench/media-client.ts'
import { Random } from './random.ts'
import { Record, type WriterLine } from './record.ts'
import { pgWrites } from './writes-by-pg.ts'
import { prismaWrites } from './writes-by-prisma.ts'

const [url, path, seed, sharedRows] = process.argv.slice(2) as [string, string, string, string]
const record = new Record<WriterLine>(path)
const prisma = mediaClient(url)
const pool = new pg.Pool({ connectionString: url, application_name: 'writer', connectionTimeoutMillis: 10_000 })
pool.on('error', () => {})
pool.on('connect', (client) => client.on('error', () => {}))

let stopping = false
process.once('SIGTERM', () => {
  stopping = true
})
process.on('disconnect', () => stopping || process.exit(1)) // whoever started it is gone

/** What a writer needs for one transaction. */
export interface Pen {
  readonly random: Random
  /** Stands in every row that the transaction writes. */
  readonly mark: string
  /** Ids of the rows that all writers share are 1 to this. */
  readonly sharedRows: number
  readonly record: Record<WriterLine>
}

const writers = [0, 1, 2, 3, 4].map((number) => {
  const write = number < 2 ? prismaWrites(prisma) : pgWrites(pool)
  return keepWriting(write, new Random(Number(seed) * 100 + number), `${seed}.${number}`)
})
process.send?.('ready')
await Promise.all(writers)
await closeClient(prisma)
await pool.end()
process.disconnect?.()

async function keepWriting(write: (pen: Pen) => Promise<void>, random: Random, name: string): Promise<void> {
  for (let count = 1; !stopping; count++) {
    await write({ random, mark: `${name}.${count}`, sharedRows: Number(sharedRows), record })
    await sleep(random.int(0, 300))
  }
}
