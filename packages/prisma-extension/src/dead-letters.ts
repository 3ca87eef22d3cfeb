import { type DeadLetters, type PubSub, PubSubError, type Queryable, type QueryResult } from '@pgpubsub/core'

/** A transaction of Prisma: what `prisma.$transaction(async (tx) => …)` gives. */
export interface PrismaTransaction {
  $queryRawUnsafe(sql: string, ...values: unknown[]): PromiseLike<unknown>
}

/** The engine's dead letters, whose `tx` is a transaction of Prisma. */
export function prismaDeadLetters(engine: PubSub): DeadLetters<PrismaTransaction> {
  return engine.deadLettersIn(databaseOf(engine))
}

/** Where statements go: into a transaction of Prisma, or, without one, to the engine's pool. */
export const databaseOf = (engine: PubSub) => (tx: PrismaTransaction | undefined) =>
  tx === undefined ? engine.openPool() : queryable(tx)

function queryable(tx: PrismaTransaction): Queryable {
  // a client is no transaction: what is done with it is not undone with the caller's
  if (typeof tx?.$queryRawUnsafe !== 'function' || typeof (tx as { $connect?: unknown }).$connect === 'function') {
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      'tx must be the transaction that prisma.$transaction(async (tx) => …) gives its function, and not the client. Leave tx out where there is none.',
    )
  }
  return {
    async query(statement: string | { text: string; values: unknown[] }, values: unknown[] = []): Promise<QueryResult> {
      const given = typeof statement === 'string' ? { text: statement, values } : statement
      const rows = (await tx.$queryRawUnsafe(given.text, ...given.values)) as unknown[]
      return { rows, rowCount: rows.length }
    },
  }
}
