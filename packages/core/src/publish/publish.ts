import type { Queryable } from '../database.js'
import { requiresEngine } from '../install/installed.js'
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

/** Stores a message for every listener of its channel. @throws PGPUBSUB_NOT_INSTALLED */
export async function publish(
  db: Queryable,
  schema: string,
  { channel, json, key, context }: Published,
): Promise<void> {
  await requiresEngine(schema, () => db.query(publishSql(identifier(schema)), [channel, json, key, context]))
}
