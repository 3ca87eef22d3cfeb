import { identifier } from '../quote.js'
import type { Examination } from './examination.js'
import type { Finding } from './finding.js'
import { number } from './in-words.js'

// reset_val: what a session of this role in this database begins with, whatever this transaction has set.
const effective = /* sql */ `
  select current_database() as database, pg_is_in_recovery() as standby,
    (select json_object_agg(s.name, s.reset_val) from pg_settings s
     where s.name in ('default_transaction_read_only', 'statement_timeout', 'fsync')) as settings
`

/** A statement of a worker takes milliseconds, with a large batch or much to skip a second. */
const shortestTimeoutMs = 10_000

/** Settings that workers meet. */
export const settings: Examination = async ({ db }) => {
  const [row] = (await db.query(effective)).rows
  const { default_transaction_read_only: readOnly, statement_timeout: timeout, fsync } = row.settings
  const database = identifier(row.database)
  const findings: (Finding | false)[] = [
    row.standby && {
      code: 'standby',
      severity: 'problem',
      subject: 'server',
      message: 'This is a standby: nothing can be written here, so workers can neither claim nor delete.',
      remedy: 'Connect to the primary, for example with target_session_attrs=read-write and the names of all servers.',
      details: {},
    },
    !row.standby &&
      readOnly === 'on' && {
        code: 'read-only',
        severity: 'problem',
        subject: 'setting default_transaction_read_only',
        message: 'It is on for this role or database: workers can neither claim nor delete.',
        remedy: `Where it was set: alter database ${database} reset default_transaction_read_only, or alter role … reset it.`,
        details: {},
      },
    Number(timeout) > 0 &&
      Number(timeout) < shortestTimeoutMs && {
        code: 'statement-timeout',
        severity: 'warning',
        subject: 'setting statement_timeout',
        message: `It is ${timeout} ms for this role and database: a worker's claim that takes longer, of a large batch or on a busy server, is cut off and repeated.`,
        remedy: `Give the role of the workers 10 s or more: alter role … in database ${database} set statement_timeout = '30s'.`,
        details: { milliseconds: Number(timeout) },
      },
    fsync === 'off' && {
      code: 'fsync-off',
      severity: 'info',
      subject: 'setting fsync',
      message: 'It is off: when the machine goes down, the database may be damaged, and notifications with it.',
      remedy: 'Set fsync = on, unless the data may be lost, as in tests.',
      details: {},
    },
  ]
  return findings.filter((finding) => finding !== false)
}

const replicaSettings = /* sql */ `
  select r.rolname as role, d.datname as database
  from pg_db_role_setting s
  left join pg_roles r on r.oid = s.setrole
  left join pg_database d on d.oid = s.setdatabase
  where (s.setdatabase = 0 or d.datname = current_database())
    and exists (select from unnest(s.setconfig) c where lower(c) = 'session_replication_role=replica')
  union
  select current_user, current_database()
  from pg_settings where name = 'session_replication_role' and reset_val = 'replica' and source not in ('database', 'user', 'database user')
`

/** Sessions whose writes fire no trigger. */
export const replicaRole: Examination = async ({ db }) => {
  const { rows } = await db.query(replicaSettings)
  return rows.map(({ role, database }): Finding => {
    const whose = [role !== null && `the role ${role}`, database !== null && `the database ${database}`]
    const where = role === null ? `alter database ${identifier(database)}` : `alter role ${identifier(role)}`
    return {
      code: 'replica-role',
      severity: 'problem',
      subject: 'setting session_replication_role',
      message: `It is replica for ${whose.filter(Boolean).join(' in ')}: what is written there fires no trigger, and is never handled.`,
      remedy: `Unless these writes are a replica's: ${where}${role !== null && database !== null ? ` in database ${identifier(database)}` : ''} reset session_replication_role.`,
      details: { role, database },
    }
  })
}

// numbers that everyone may see
const connectionCounts = /* sql */ `
  select (select sum(d.numbackends)::int from pg_stat_database d) as used,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most
`

/** Connections nearly used up: a worker that reconnects, or a request, finds none. */
export const connections: Examination = async ({ db, thresholds }) => {
  const [{ used, most }] = (await db.query(connectionCounts)).rows
  if (used < most * thresholds.connectionUsage) return []
  return [
    {
      code: 'connections',
      severity: 'warning',
      subject: 'setting max_connections',
      message: `${number(used)} of ${number(most)} connections are in use. Who finds none is refused: a worker then tries again, a request fails.`,
      remedy:
        "Make the programs' pools smaller, put a pooler in between (and give workers listenConnectionString), or raise max_connections.",
      details: { used, most },
    },
  ]
}

const sight = `select current_user as role, pg_has_role(current_user, 'pg_read_all_stats', 'usage') as full`

/** What other roles do is hidden from most. */
export const limitedSight: Examination = async ({ db }) => {
  const [{ role, full }] = (await db.query(sight)).rows
  if (full) return []
  return [
    {
      code: 'limited-sight',
      severity: 'info',
      subject: `role ${role}`,
      message:
        "It cannot see what other roles' sessions do: their long transactions, standbys and workers may be missing here.",
      remedy: `grant pg_read_all_stats to ${identifier(role)}, or run this as a role that has it.`,
      details: { role },
    },
  ]
}
