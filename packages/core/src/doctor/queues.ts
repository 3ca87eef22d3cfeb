import { freshSeconds } from '../observe/reports.js'
import { identifier, literal } from '../quote.js'
import type { Examination, Patient } from './examination.js'
import type { Finding } from './finding.js'
import { atMost, duration } from './in-words.js'

/** Notifications and dead letters are not counted beyond this. */
export const countLimit = 10_000

// Listeners that are installed, and those that only have notifications: found by leaping through the primary key. Of each
// only the head of the queue is read.
const queues = (schema: string) => /* sql */ `
  with recursive stored (listener) as (
    (select n.listener from ${schema}.notification n order by n.listener limit 1)
    union all
    select (select n.listener from ${schema}.notification n where n.listener > s.listener order by n.listener limit 1)
    from stored s where s.listener is not null
  ), known (listener) as (
    select s.listener from stored s where s.listener is not null union select l.name from ${schema}.listener l
  )
  select k.listener, l.name is not null as installed, coalesce(l.paused, false) as paused,
    extract(epoch from clock_timestamp() - least(
      (select n.created_at from ${schema}.notification n
       where n.listener = k.listener and not n.waiting order by n.id limit 1),
      (select n.run_at from ${schema}.notification n
       where n.listener = k.listener and n.run_at <= now() order by n.run_at limit 1)
    ))::float8 as seconds,
    (select count(*)::float8 from (
      select from ${schema}.notification n where n.listener = k.listener limit ${countLimit + 1}
    ) n) as count,
    exists (
      select from pg_locks a
      where a.locktype = 'advisory' and a.objsubid = 1 and a.mode = 'ShareLock' and a.granted
        and a.database = (select d.oid from pg_database d where d.datname = current_database())
        and a.classid::bigint << 32 | a.objid::bigint = ${schema}.asleep_key(k.listener)
    ) as asleep
  from known k left join ${schema}.listener l on l.name = k.listener
  order by k.listener
`

// A worker has a LISTEN connection of this name; while it handles something it has a lock on claimed notifications, and
// tells so every few seconds.
const workers = (schema: string) => /* sql */ `
  select (
    select count(*) from pg_stat_activity a
    where a.datname = current_database() and a.application_name = 'pgpubsub listen'
  )::int + (
    select count(*) from pg_locks l
    where l.locktype = 'relation' and l.relation = ${literal(`${schema}.notification`)}::regclass and l.mode = 'RowShareLock'
      and l.database = (select d.oid from pg_database d where d.datname = current_database())
  )::int + (
    select count(*) from ${schema}.worker w where w.reported_at > clock_timestamp() - interval '${freshSeconds} s'
  )::int as connected
`

interface Queue {
  readonly listener: string
  readonly installed: boolean
  readonly paused: boolean
  /** How long the oldest that is ready has waited; null where nothing is. */
  readonly seconds: number | null
  readonly count: number
  readonly asleep: boolean
}

/** Queues that nobody works on, or not fast enough. */
export const unattendedQueues: Examination = async (patient) => {
  const schema = identifier(patient.schema)
  const { rows } = await patient.db.query(queues(schema))
  const { connected } = (await patient.db.query(workers(schema))).rows[0]
  return rows.flatMap((queue: Queue) => queueFinding(queue, connected > 0, patient) ?? [])
}

function queueFinding(queue: Queue, workersConnected: boolean, { thresholds }: Patient): Finding | null {
  const { listener, installed, paused, seconds, count, asleep } = queue
  if (count === 0) return null
  const stored = `${atMost(count, countLimit)} stored ${count === 1 ? 'notification' : 'notifications'}`
  const about = {
    subject: `listener ${listener}`,
    details: { listener, stored: count, oldestSeconds: seconds, asleep, workersConnected },
  } as const
  if (!installed) {
    return {
      ...about,
      code: 'forgotten',
      severity: 'warning',
      message: `It is not installed any more, or was renamed, and has ${stored}, which nobody will handle.`,
      remedy:
        'Declare it again until they are handled, or delete them: delete from the notification table where listener is this name.',
    }
  }
  if (paused) {
    return {
      ...about,
      code: 'paused',
      severity: 'warning',
      message: `It is paused, and has ${stored}.`,
      remedy: 'resume() it when it may go on.',
    }
  }
  if (seconds === null || seconds < thresholds.waitingSeconds) return null
  const waited = `The oldest of ${stored} that is ready has waited for ${duration(seconds)}`
  if (!asleep && !workersConnected) {
    return {
      ...about,
      code: 'unattended',
      severity: 'problem',
      message: `${waited}, and no worker is connected to this database.`,
      remedy:
        'Start a worker: pgpubsub listen. If one runs, see its log: it may be connected elsewhere, or not reach the server.',
    }
  }
  return {
    ...about,
    code: 'backlog',
    severity: 'warning',
    message: asleep
      ? `${waited}, though a worker sleeps: it is behind an older change of its row, which waits for its retry.`
      : `${waited}. Workers are connected, and none sleeps on this listener: they are busy, or none of them consumes it.`,
    remedy: asleep
      ? 'See last_error of the notifications that wait. What keeps failing can be made a dead letter with fewer attempts.'
      : 'Start more workers or raise concurrency; see that a worker names this listener, if workers are started with --listeners.',
  }
}
