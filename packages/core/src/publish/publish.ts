import type { Queryable } from '../database.js'
import { PubSubError } from '../errors.js'
import { requiresEngine } from '../install/not-installed.js'
import { identifier } from '../quote.js'

/** What is published. */
export interface Published {
  readonly channel: string
  /** The payload as JSON. */
  readonly json: string
  /** Messages of one key are handled one after another; null: in any order. */
  readonly key: string | null
  /** As JSON; null: the one that the transaction has. */
  readonly context: string | null
}

// texts, which any driver sends alike; and a result that any driver can read
const publishSql = (schema: string) =>
  `select ${schema}.publish($1::text, $2::text::jsonb, $3::text, $4::text::jsonb)::text as published`

/**
 * Stores a message for every listener of its channel, or sends it.
 * @throws PGPUBSUB_INVALID_MESSAGE, PGPUBSUB_NOT_INSTALLED
 */
export async function publish(
  db: Queryable,
  schema: string,
  { channel, json, key, context }: Published,
): Promise<void> {
  try {
    await requiresEngine(schema, () => db.query(publishSql(identifier(schema)), [channel, json, key, context]))
  } catch (cause) {
    if (sqlState(cause) !== programLimitExceeded) throw cause
    throw new PubSubError(
      'PGPUBSUB_INVALID_MESSAGE',
      `The channel "${channel}" has a listener with delivery: 'broadcast', and the payload is too large for that: it can have about 7,900 bytes as JSON. Publish what it is about, and let the handler read the rest; or make the listener durable.`,
      { cause },
    )
  }
}

const programLimitExceeded = '54000'

/** In an error of pg, or of Prisma around it. */
function sqlState(error: unknown): unknown {
  const { code, meta } = (error ?? {}) as PrismaError
  return meta?.driverAdapterError?.cause?.originalCode ?? code
}

interface PrismaError {
  readonly code?: unknown
  readonly meta?: { readonly driverAdapterError?: { readonly cause?: { readonly originalCode?: unknown } } }
}
