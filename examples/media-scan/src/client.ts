import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaClient } from '../../../prisma/generated/client.ts'
import { connectionString } from './settings.ts'

export const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString }) }).$extends(
  pubsub({ connectionString }),
)

/** Ends every connection of this process. */
export async function disconnect(): Promise<void> {
  await prisma.$pubsub.close()
  await prisma.$disconnect()
}
