import type { Examination } from './examination.js'
import { duration } from './in-words.js'

// The queue is one for all databases, and its tail waits for the slowest session that listens. Who listens to what only
// that session itself knows; but it falls behind only while it is in a transaction.
const usage = /* sql */ `
  select pg_notification_queue_usage() as usage, array(
    select json_build_object('pid', a.pid, 'application', a.application_name, 'database', a.datname,
      'seconds', extract(epoch from clock_timestamp() - a.xact_start))
    from pg_stat_activity a
    where a.xact_start is not null and a.pid <> pg_backend_pid() and a.backend_type = 'client backend'
    order by a.xact_start
    limit 3
  ) as oldest
`

interface Session {
  readonly pid: number
  readonly application: string
  readonly database: string
  readonly seconds: number
}

/** When it is full, every commit with a NOTIFY fails, also of a writer. */
export const notifyQueue: Examination = async ({ db, thresholds }) => {
  const [row] = (await db.query(usage)).rows
  if (row.usage < thresholds.notifyQueueUsage) return []
  const sessions = row.oldest as Session[]
  const suspects = sessions.map(
    ({ pid, application, database, seconds }) =>
      `process ${pid} ("${application}", database ${database}, for ${duration(seconds)})`,
  )
  const who = suspects.length > 0 ? suspects.join(', ') : 'none that can be seen'
  return [
    {
      code: 'notify-queue',
      severity: row.usage < 0.5 ? 'warning' : 'problem',
      subject: 'NOTIFY queue',
      message: `It is full to ${(row.usage * 100).toFixed(row.usage < 0.1 ? 3 : 0)} %. When it is full, every commit that notifies fails. It empties when the session that listens and has been in a transaction for the longest ends it. The oldest transactions: ${who}.`,
      remedy:
        'End the transaction of the session that listens, or the session: select pg_terminate_backend(pid). LISTEN belongs on a connection without long transactions.',
      details: { usage: row.usage, oldestProcess: sessions[0]?.pid ?? null },
    },
  ]
}
