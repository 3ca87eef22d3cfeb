import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaClient } from '../../../prisma/generated/client.ts'

const connectionString = process.env.DATABASE_URL ?? 'postgresql://localhost/postgres'

export const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString, max: 5 }) }).$extends(
  pubsub({ connectionString }),
)
