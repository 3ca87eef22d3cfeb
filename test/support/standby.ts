import pg from 'pg'
import type { TestDatabase } from './test.ts'

interface Feedback {
  /** Slot that the standby uses. */
  slot?: string
}

/**
 * A standby as far as its primary knows: a connection of the replication protocol that says, as hot_standby_feedback
 * does, which transactions its queries still see. Its end is the end of the standby.
 */
export async function standbyWithFeedback(
  database: TestDatabase,
  { slot }: Feedback = {},
): Promise<() => Promise<void>> {
  const [{ xmin, lsn }] = await database.sql(
    `select (pg_snapshot_xmin(pg_current_snapshot())::text::bigint % 4294967296)::text as xmin, pg_current_wal_flush_lsn() as lsn`,
  )
  // through an ordinary entry of pg_hba.conf, as the database has it
  const standby = new pg.Client({
    connectionString: database.url,
    application_name: 'test standby',
    replication: 'database',
  } as pg.ClientConfig)
  standby.on('error', () => {})
  await standby.connect()
  // it streams from now on: the statement has no end
  standby.query(`START_REPLICATION ${slot ? `SLOT ${slot} ` : ''}PHYSICAL ${lsn}`).catch(() => {})
  const { stream } = (standby as unknown as { connection: { stream: NodeJS.WritableStream } }).connection
  stream.write(copyData(feedback(Number(xmin))))
  return async () => {
    standby.end().catch(() => {})
    ;(stream as unknown as { destroy(): void }).destroy()
  }
}

/** `h`, when, xmin and its epoch, catalog_xmin and its epoch. */
function feedback(xmin: number): Buffer {
  const message = Buffer.alloc(1 + 8 + 4 * 4)
  message.write('h')
  for (const at of [9, 17]) message.writeUInt32BE(xmin, at)
  return message
}

function copyData(message: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write('d')
  head.writeInt32BE(message.length + 4, 1)
  return Buffer.concat([head, message])
}
