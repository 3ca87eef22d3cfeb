import { literal } from '../quote.js'
import type { Examination } from './examination.js'
import type { Finding } from './finding.js'
import { duration } from './in-words.js'
import { heldBack } from './vacuum-horizon.js'

const preparedTransactions = /* sql */ `
  select p.gid, p.owner, extract(epoch from clock_timestamp() - p.prepared)::float8 as seconds,
    age(p.transaction) as "horizonAge"
  from pg_prepared_xacts p
  where p.database = current_database() and p.prepared <= clock_timestamp() - $1 * interval '1 second'
  order by p.prepared
  limit 10
`

/** Transactions that wait for their second phase: they outlive their sessions, and restarts of the server. */
export const forgottenPreparedTransactions: Examination = async (patient) => {
  const { rows } = await patient.db.query(preparedTransactions, [patient.thresholds.transactionSeconds])
  const { severity, words, deadRows } = heldBack(patient)
  return rows.map(
    (row): Finding => ({
      code: 'prepared-transaction',
      severity: severity === 'info' ? 'warning' : severity,
      subject: `prepared transaction ${row.gid}`,
      message: `It was prepared ${duration(row.seconds)} ago by the role ${row.owner}, and neither committed nor rolled back since. It keeps its locks, also through restarts. ${words}`,
      remedy: `Ask its transaction manager. If nobody knows it: rollback prepared ${literal(row.gid)}.`,
      details: { ...row, deadRows },
    }),
  )
}
