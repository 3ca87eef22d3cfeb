import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaClient } from '../../../prisma/generated/client.ts'
import { connectionString } from './settings.ts'

/** Made once for each instance of the functions: a platform calls an instance again and again. */
export const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString, max: 2 }) }).$extends(
  pubsub({ connectionString }),
)
