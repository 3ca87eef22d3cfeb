import { containing } from '../consume/claim-parts.js'
import type { Pool } from '../database.js'
import { identifier, literal } from '../quote.js'
import { read } from './read.js'
import { readyAbove } from './ready-above.js'
import { runningTransactions, whole } from './status.js'
import { tally } from './tally.js'

/** Whether it has another context, and so waits for another worker. */
const isOther = (row: string, context: string | null) => `not (true${containing(row, context)})`

// What a worker has in hand, and what stands behind a change of its row that waits for its retry, nobody can take now.
const notNow = (schema: string, context: string | null = null) => /* sql */ `n.xmax = any (x.ids) or exists (
    select from ${schema}.notification w
    where w.listener = l.name and w.waiting_key = n.key and w.id < n.id
      and (w.run_at > now() or ${isOther('w', context)}) offset 0
  )`

const notPaused = (schema: string, listeners: readonly string[]) => /* sql */ `
  select u.name, ${readyAbove(schema, 'u.name')} as ready_above
  from unnest(array[${listeners.map(literal).join(', ')}]::text[]) as u (name)
  left join ${schema}.listener s on s.name = u.name
  where s.paused is not true`

const ready = 'n.listener = l.name and not n.waiting and n.id > l.ready_above'
const due = 'n.listener = l.name and n.waiting and n.run_at <= now()'

const readRemaining = (schema: string, listeners: readonly string[]) => /* sql */ `
  with now_running as materialized (${runningTransactions})
  select coalesce(sum(ready.total - ready.not_now + due.total - due.not_now), 0)::float8 as remaining
  from (${notPaused(schema, listeners)}) l
  cross join now_running x
  cross join lateral (${tally(`from ${schema}.notification n where ${ready}`, { not_now: notNow(schema) })}) ready
  cross join lateral (${tally(`from ${schema}.notification n where ${due}`, { not_now: notNow(schema) })}) due
`

// No index knows contexts: all that is ready is read, as a claim of a context reads it. What stands behind a change of its row that
// has another context waits for whoever takes that.
const readRemainingOf = (schema: string, listeners: readonly string[], context: string) => /* sql */ `
  with now_running as materialized (${runningTransactions})
  select coalesce(sum(ready.total + due.total), 0)::float8 as remaining
  from (${notPaused(schema, listeners)}) l
  cross join now_running x
  cross join lateral (
    select count(*) as total
    from ${schema}.notification n
    left join (
      select n.key, min(n.id) as id
      from ${schema}.notification n
      where ${ready} and ${isOther('n', context)}
      group by n.key
    ) other on other.key = n.key
    where ${ready}${containing('n', context)} and (other.id is null or other.id > n.id) and (${notNow(schema, context)}) is not true
  ) ready
  cross join lateral (
    select count(*) as total
    from ${schema}.notification n
    where ${due}${containing('n', context)} and (${notNow(schema, context)}) is not true
  ) due
`

/**
 * How many notifications of these listeners could be handled at once, by anybody, or by whoever takes what has this context; of a
 * paused listener, none.
 */
export async function remaining(
  pool: Pool,
  schemaName: string,
  listeners: readonly string[],
  context: string | null,
): Promise<number> {
  const schema = identifier(schemaName)
  const query = context === null ? readRemaining(schema, listeners) : readRemainingOf(schema, listeners, context)
  const [row] = await read(pool, schemaName, query)
  return whole(row.remaining)
}
