import type { Pool } from '../database.js'
import { identifier, literal } from '../quote.js'
import { read } from './read.js'
import { readyAbove } from './ready-above.js'
import { runningTransactions, whole } from './status.js'
import { tally } from './tally.js'

// What a worker has in hand, and what stands behind a change of its row that waits for its retry, nobody can take now.
const notNow = (schema: string) => /* sql */ `n.xmax = any (x.ids) or exists (
    select from ${schema}.notification w
    where w.listener = l.name and w.waiting_key = n.key and w.id < n.id and w.run_at > now() offset 0
  )`

const readRemaining = (schema: string, listeners: readonly string[]) => /* sql */ `
  with now_running as materialized (${runningTransactions})
  select coalesce(sum(ready.total - ready.not_now + due.total - due.not_now), 0)::float8 as remaining
  from (
    select u.name from unnest(array[${listeners.map(literal).join(', ')}]::text[]) as u (name)
    left join ${schema}.listener s on s.name = u.name
    where s.paused is not true
  ) l
  cross join now_running x
  cross join lateral (${tally(`from ${schema}.notification n where n.listener = l.name and not n.waiting and n.id > ${readyAbove(schema, 'l.name')}`, { not_now: notNow(schema) })}) ready
  cross join lateral (${tally(`from ${schema}.notification n where n.listener = l.name and n.waiting and n.run_at <= now()`, { not_now: notNow(schema) })}) due
`

/** How many notifications of these listeners could be handled at once, by anybody; of a paused listener, none. */
export async function remaining(pool: Pool, schemaName: string, listeners: readonly string[]): Promise<number> {
  const [row] = await read(pool, schemaName, readRemaining(identifier(schemaName), listeners))
  return whole(row.remaining)
}
