import { carryContext, PubSubError, show } from '@pgpubsub/core'
import type { PrismaPg } from '@prisma/adapter-pg'

type Arguments = ConstructorParameters<typeof PrismaPg>

/** What Prisma asks of an adapter. */
export type PubSubAdapter = Pick<PrismaPg, 'provider' | 'adapterName' | 'connect' | 'connectToShadowDb'>

/**
 * `PrismaPg` whose connections carry the context of `withContext` in the round trip of the write itself. Takes what
 * `PrismaPg` takes: a connection string, a `pg.PoolConfig`, or a `pg.Pool`, and its options.
 *
 * With a plain `PrismaPg`, or any other adapter, context works as well; a write outside of a transaction then costs the
 * round trips of a transaction around it.
 * @example
 * const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString }) }).$extends(pubsub({ connectionString }))
 * @throws PGPUBSUB_INVALID_OPTION where the connection string is missing: the driver would connect to whatever is on this machine
 */
export function pubsubAdapter(poolOrConfig: Arguments[0], options?: Arguments[1]): PubSubAdapter {
  checkAddressGiven(poolOrConfig)
  // the adapter, and with it the driver, is loaded when Prisma first connects
  const factory = async () => {
    const { PrismaPg } = await import('@prisma/adapter-pg')
    return new PrismaPg(poolOrConfig, options)
  }
  return {
    provider: 'postgres',
    adapterName: '@prisma/adapter-pg',
    async connect() {
      const adapter = await (await factory()).connect()
      carryContext(adapter.underlyingDriver())
      return adapter
    },
    connectToShadowDb: async () => (await factory()).connectToShadowDb(),
  }
}

function checkAddressGiven(given: unknown): void {
  if (typeof given === 'string' && given !== '') return
  if (typeof given !== 'object' || given === null) {
    throw invalid(`pubsubAdapter takes where to connect to, like { connectionString }; it was given ${show(given)}.`)
  }
  if ('connectionString' in given && !given.connectionString) {
    throw invalid('connectionString of pubsubAdapter is empty: is the environment variable set that it comes from?')
  }
}

const invalid = (message: string) => new PubSubError('PGPUBSUB_INVALID_OPTION', message)
