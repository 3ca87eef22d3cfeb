import { silentLogger } from '@pgpubsub/core'
import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaPg } from '@prisma/adapter-pg'
import type pg from 'pg'
import { type Prisma, PrismaClient } from '../../prisma/generated/client.ts'
import type { TestDatabase } from './test.ts'

export const adapters = ['carrying', 'plain'] as const

type AdapterOptions = NonNullable<ConstructorParameters<typeof PrismaPg>[1]>

export interface RecordingOptions extends AdapterOptions {
  /** `'carrying'`: our adapter; `'plain'`: Prisma's own. */
  adapter?: (typeof adapters)[number]
  /** Where Prisma's pool connects to, if not to the database itself. */
  url?: string
  /** Settings of Prisma's pool. */
  pool?: pg.PoolConfig
  transactionOptions?: Prisma.PrismaClientOptions['transactionOptions']
  onQuery?: (sql: string) => void
}

export type RecordingClient = Awaited<ReturnType<typeof recordingClient>>

/** A client whose writes to Media, Tag and User are all stored, and handled by nobody. */
export async function recordingClient(
  database: TestDatabase,
  { adapter = 'carrying', url = database.url, pool, transactionOptions, onQuery, ...options }: RecordingOptions = {},
) {
  const config = { connectionString: url, max: 5, ...pool }
  const client = new PrismaClient({
    adapter: adapter === 'carrying' ? pubsubAdapter(config, options) : new PrismaPg(config, options),
    ...(transactionOptions && { transactionOptions }),
    log: onQuery ? [{ emit: 'event', level: 'query' }] : [],
  })
  client.$on('query', ({ query }) => onQuery?.(query))
  const prisma = client.$extends(pubsub({ connectionString: database.url, logger: silentLogger }))
  database.closeLater(async () => {
    await prisma.$pubsub.close()
    await prisma.$disconnect()
  })
  prisma.media.onPostChange({ name: 'record-media', order: 'none' }, () => {})
  prisma.tag.onPostChange({ name: 'record-tag', order: 'none' }, () => {})
  prisma.user.onPostChange({ name: 'record-user', order: 'none' }, () => {})
  await prisma.$pubsub.install()
  return prisma
}

/** The contexts of the changes stored since the last call, in the order of the changes. */
export function newContexts(database: TestDatabase): () => Promise<unknown[]> {
  let last = '0'
  return async () => {
    const rows = await database.sql('select id, context from pgpubsub.notification where id > $1 order by id', [last])
    last = rows.at(-1)?.id ?? last
    return rows.map((row) => row.context)
  }
}
