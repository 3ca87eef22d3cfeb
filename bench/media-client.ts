import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaClient } from '../prisma/generated/client.ts'

/** A Prisma Client with the extension, as an application has it: everything by default. */
export function mediaClient(url: string) {
  const connectionString = url
  return new PrismaClient({ adapter: pubsubAdapter({ connectionString }) }).$extends(pubsub({ connectionString }))
}

export type MediaClient = ReturnType<typeof mediaClient>

export async function closeClient(prisma: MediaClient): Promise<void> {
  await prisma.$pubsub.close()
  await prisma.$disconnect()
}
