import { checkOptionNames, positiveInteger } from '../check.js'
import { requiresEngine } from '../install/not-installed.js'
import type { PubSub } from '../pubsub.js'
import { identifier, literal } from '../quote.js'

/** Options of {@link advance}. */
export interface AdvanceOptions {
  /** Only the changes of these listeners. @default those of all listeners in the database */
  listeners?: readonly string[]
}

// What is leased has a handler that runs, and is not waiting for its retry.
const moveNearer = (schema: string, channel: string) => /* sql */ `
  with moved as (
    update ${schema}.notification n
    set run_at = n.run_at - $2::float8 * interval '1 millisecond'
    where ($1::text[] is null or n.listener = any ($1::text[])) and n.waiting and n.lease is null
    returning n.listener, n.run_at <= clock_timestamp() as is_due
  ), told as materialized (
    select pg_notify(${literal(channel)}, d.listener)::text
    from (select distinct m.listener from moved m where m.is_due) d
  )
  select count(*) filter (where m.is_due)::int as due, (select count(*) from told) from moved m
`

/**
 * Lets time pass for what waits for its retry: it is due by so many milliseconds earlier. The clock itself, and timers, go on as they
 * are.
 * @returns how many are due now; workers handle them, or `drain()`
 * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED
 */
export async function advance(engine: PubSub, milliseconds: number, options: AdvanceOptions = {}): Promise<number> {
  checkOptionNames('advance', options, ['listeners'])
  const by = positiveInteger('advance', 'milliseconds', milliseconds)
  const listeners = options.listeners ? engine.declared(options.listeners) : null
  const { schema } = engine
  const pool = await engine.openPool()
  const { rows } = await requiresEngine(schema, () =>
    pool.query(moveNearer(identifier(schema), schema), [listeners, by]),
  )
  return rows[0].due
}
