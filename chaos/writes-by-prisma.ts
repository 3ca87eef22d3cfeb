import { setTimeout as sleep } from 'node:timers/promises'
import type { MediaClient } from '../bench/media-client.ts'
import type { Pen } from './writer.ts'

/* Prisma, as an application writes: with context and without, single, nested and bulk, transactions of both kinds. */

type Transaction = Parameters<Parameters<MediaClient['$transaction']>[0]>[0]
type Write = (client: Transaction, pen: Pen) => Promise<unknown>

const create: Write = (client, { mark }) => client.media.create({ data: { url: mark } })

const createMany: Write = (client, { mark, random }) =>
  client.media.createMany({ data: Array.from({ length: random.int(1, 60) }, () => ({ url: mark })) })

const createNested: Write = (client, { mark }) =>
  client.user.create({ data: { email: mark, media: { create: [{ url: mark }, { url: mark }] } } })

const update: Write = (client, { mark, random, sharedRows }) =>
  client.media.updateMany({ where: { id: random.int(1, sharedRows) }, data: { url: mark } })

const upsert: Write = (client, { mark, random, sharedRows }) => {
  const id = random.int(1, sharedRows)
  return client.media.upsert({ where: { id }, create: { id, url: mark }, update: { url: mark } })
}

const remove: Write = (client, { random, sharedRows }) =>
  client.media.deleteMany({ where: { id: random.int(1, sharedRows) } })

// the deletes cascade to the media
const removeUsers: Write = (client, { random }) =>
  client.user.deleteMany({ where: { id: { lt: 1_000_000, gt: random.int(0, 5_000) } } })

const write = ({ random }: Pen) =>
  random.weighted([
    [20, create],
    [20, update],
    [20, upsert],
    [10, createNested],
    [8, remove],
    [3, createMany],
    [1, removeUsers],
  ])

const onPurpose = new Error('rolled back on purpose')

/** Writes once: with context in half of the cases, alone or in a transaction. */
export function prismaWrites(prisma: MediaClient): (pen: Pen) => Promise<void> {
  return async (pen) => {
    const { random, mark, record } = pen
    const once = random.weighted([
      [50, () => write(pen)(prisma as unknown as Transaction, pen)],
      [15, () => both(prisma, pen)],
      [35, () => interactive(prisma, pen)],
    ])
    try {
      await (random.chance(0.5) ? prisma.$pubsub.withContext({ mark }, once) : once())
      record.write({ is: 'committed', mark })
    } catch (error) {
      record.write({ is: error === onPurpose ? 'rolled back' : 'unknown', mark })
      await sleep(20)
    }
  }
}

const both = (prisma: MediaClient, { mark, random, sharedRows }: Pen) =>
  prisma.$transaction([
    prisma.media.create({ data: { url: mark } }),
    prisma.media.updateMany({ where: { id: random.int(1, sharedRows) }, data: { url: mark } }),
  ])

function interactive(prisma: MediaClient, pen: Pen): Promise<unknown> {
  const { random, record } = pen
  const work = async (tx: Transaction) => {
    for (let left = random.int(1, 3); left > 0; left--) await write(pen)(tx, pen)
    if (random.chance(0.3)) {
      const mark = `${pen.mark}.undone`
      await tx.$executeRawUnsafe('savepoint before')
      await create(tx, { ...pen, mark })
      await tx.$executeRawUnsafe('rollback to savepoint before')
      record.write({ is: 'rolled back', mark })
    }
    if (random.chance(0.2)) await sleep(random.int(20, 1_000))
    if (random.chance(0.2)) throw onPurpose
  }
  return prisma.$transaction(work as never, { timeout: 10_000 })
}
