import { carryContext } from '@pgpubsub/core'
import { PrismaPg } from '@prisma/adapter-pg'

type Arguments = ConstructorParameters<typeof PrismaPg>

/**
 * `PrismaPg` whose connections carry the context of `withContext` in the round trip of the write itself. Takes what
 * `PrismaPg` takes: a connection string, a `pg.PoolConfig`, or a `pg.Pool`, and its options.
 *
 * With a plain `PrismaPg`, or any other adapter, context works as well; a write outside of a transaction then costs the
 * round trips of a transaction around it.
 * @example
 * const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString }) }).$extends(pubsub({ connectionString }))
 */
export function pubsubAdapter(poolOrConfig: Arguments[0], options?: Arguments[1]): PrismaPg {
  const factory = new PrismaPg(poolOrConfig, options)
  const connect = factory.connect.bind(factory)
  factory.connect = async () => {
    const adapter = await connect()
    carryContext(adapter.underlyingDriver())
    return adapter
  }
  return factory
}
