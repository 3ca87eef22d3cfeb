import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaClient } from '../../../prisma/generated/client.ts'

const connectionString = process.env.DATABASE_URL ?? 'postgresql://localhost/postgres'

export const prisma = new PrismaClient({
  adapter: pubsubAdapter({ connectionString, max: 5 }),
  // requests wait for a connection instead of failing where there are many
  transactionOptions: { maxWait: 30_000, timeout: 30_000 },
}).$extends(pubsub({ connectionString }))
