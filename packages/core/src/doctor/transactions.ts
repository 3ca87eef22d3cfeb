import type { Examination } from './examination.js'
import type { Finding } from './finding.js'
import { duration } from './in-words.js'
import { heldBack } from './vacuum-horizon.js'

// Vacuum in this database heeds the sessions of this database; one of another that writes counts only for as long as a
// snapshot here, taken meanwhile, lasts. One without a snapshot and without a transaction id, idle
// in a transaction that has only read, holds nothing back. Workers are known by their lock on claimed notifications.
const longTransactions = /* sql */ `
  select a.pid, a.application_name as application, a.usename as role, a.state, a.backend_type as kind,
    extract(epoch from clock_timestamp() - a.xact_start)::float8 as "transactionSeconds",
    extract(epoch from clock_timestamp() - a.query_start)::float8 as "querySeconds",
    a.backend_xmin::text as "backendXmin",
    greatest(age(a.backend_xmin), age(a.backend_xid)) as "horizonAge",
    left(regexp_replace(a.query, '\\s+', ' ', 'g'), 100) as query,
    exists (
      select from pg_locks l
      where l.pid = a.pid and l.locktype = 'relation' and l.mode = 'RowShareLock' and l.relation = $2::oid
        and l.database = (select d.oid from pg_database d where d.datname = current_database())
    ) as worker
  from pg_stat_activity a
  where a.datname = current_database() and a.pid <> pg_backend_pid()
    and a.backend_type not in ('autovacuum worker', 'parallel worker', 'walsender')
    and (a.backend_xmin is not null or a.backend_xid is not null)
    and a.xact_start <= clock_timestamp() - $1 * interval '1 second'
  order by "horizonAge" desc, a.xact_start
  limit 10
`

const notificationTable = /* sql */ `
  select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = 'notification'
`

/** Transactions that have been open for long, the one that vacuum waits for first. */
export const transactions: Examination = async (patient) => {
  const { db, schema, thresholds } = patient
  const table = await db.query(notificationTable, [schema])
  const { rows } = await db.query(longTransactions, [thresholds.transactionSeconds, table.rows[0]?.oid ?? 0])
  const { severity, words, deadRows } = heldBack(patient)
  return rows.map((row): Finding => {
    const { pid, worker, application, role, state } = row
    const doing = state === 'active' ? 'runs' : `is ${state ?? 'at work'}, last with`
    return {
      code: 'long-transaction',
      severity,
      subject: `process ${pid}`,
      message: `${worker ? 'A worker' : application ? `"${application}"` : 'A session'} (role ${role}) has had a transaction open for ${duration(row.transactionSeconds)}; for ${duration(row.querySeconds)} it ${doing}: ${row.query}. ${words}`,
      remedy: worker
        ? `Its batch is open for as long as its slowest handlers run. Give the listener a lease, under which handlers run without a transaction; or a timeoutMs, or a smaller batchSize.`
        : `End the transaction where it was begun. If that is not possible: select pg_terminate_backend(${pid}). idle_in_transaction_session_timeout ends forgotten ones by itself.`,
      details: { ...row, deadRows },
    }
  })
}
