import type { Pool, ResultRow } from '../database.js'
import { identifier } from '../quote.js'
import { listenerNames } from './listener-names.js'
import { read } from './read.js'
import { freshSeconds } from './reports.js'
import { countedExactly, tally } from './tally.js'

/** What a listener has in the database. */
export interface ListenerStatus {
  /** Its name. */
  readonly listener: string
  /** Nothing of it is taken, until it is resumed. */
  readonly paused: boolean
  /** Notifications that a worker may take: new ones, and those whose retry is due. */
  readonly ready: number
  /** Those that have failed, and wait for their next attempt. */
  readonly scheduled: number
  /** Those that workers have in hand now: the whole of their open batches, looked for among the 10,000 oldest, and leases. */
  readonly running: number
  /** Dead letters. */
  readonly dead: number
  /**
   * Whether there is a number above 10,000 here: those are estimated, from samples of the index, and told by three digits.
   * Most often they are right within a few per cent. Numbers up to 10,000 are exact.
   */
  readonly estimated: boolean
  /** Milliseconds since the oldest notification was stored that is not done with; null where there is none. */
  readonly oldestAgeMs: number | null
  /** Handled per second in about the last minute, by the workers of all processes; they tell it every two seconds. */
  readonly rate: number
}

const stored = (schema: string, condition: string) =>
  `from ${schema}.notification n where n.listener = l.name and ${condition}`

// The transaction that holds a notification stands in its xmax, and stays there when it was rolled back: so it counts only
// while it runs, which is as long as it has a lock on its own id. A snapshot does not list the youngest.
export const runningTransactions = /* sql */ `
  select array_agg(l.transactionid) as ids from pg_locks l
  where l.locktype = 'transactionid' and l.mode = 'ExclusiveLock' and l.granted`

const locked = 'n.xmax = any (x.ids)'

// A lease is a notification that waits until the lease is over.
const waitingMarks = { due: 'n.run_at <= now()', leased: 'n.lease is not null and n.run_at > now()' }

const readStatus = (schema: string) => /* sql */ `
  with listener as materialized (${listenerNames(schema)}
  ), now_running as materialized (${runningTransactions})
  select l.name as listener, l.paused,
    ready.total - ready.locked + waiting.due - waiting.locked as ready,
    waiting.total - waiting.due - waiting.leased as scheduled,
    ready.locked + waiting.locked + waiting.leased as running,
    dead.total as dead,
    ready.estimated or waiting.estimated or dead.estimated as estimated,
    (extract(epoch from clock_timestamp() - least(ready.oldest, waiting.oldest)) * 1000)::float8 as age,
    coalesce((
      select sum(w.rate) from ${schema}.worker w
      where w.listener = l.name and w.reported_at > clock_timestamp() - interval '${freshSeconds} s'
    ), 0) as rate
  from listener l
  cross join now_running x
  cross join lateral (${tally(stored(schema, 'not n.waiting and n.id > l.ready_above'), {}, { locked })}) ready
  cross join lateral (${tally(stored(schema, 'n.waiting'), waitingMarks, { locked: `${locked} and n.run_at <= now()` })}) waiting
  cross join lateral (${tally(`from ${schema}.dead_letter n where n.listener = l.name`)}) dead
  order by l.name
`

/**
 * Reads the state of every listener in the database, without a lock that anybody could notice.
 * @throws PGPUBSUB_NOT_INSTALLED
 */
export async function status(pool: Pool, schemaName: string): Promise<ListenerStatus[]> {
  const rows = await read(pool, schemaName, readStatus(identifier(schemaName)))
  return rows.map(statusRow)
}

function statusRow(row: ResultRow): ListenerStatus {
  return {
    listener: row.listener,
    paused: row.paused,
    ready: whole(row.ready),
    scheduled: whole(row.scheduled),
    running: whole(row.running),
    dead: whole(row.dead),
    estimated: row.estimated,
    // the clock that stamped it may be ahead
    oldestAgeMs: row.age === null ? null : Math.max(0, row.age),
    rate: row.rate,
  }
}

/** An estimate is told as one: by three digits. */
export function whole(count: number): number {
  const rounded = Math.max(0, Math.round(count))
  return rounded > countedExactly ? Number(rounded.toPrecision(3)) : rounded
}
