import { literal } from '../quote.js'

/* What the statements that claim have in common. */

// A locked row keeps the id of the transaction that locked it, also when that has ended. To be read before one's own lock.
export const lockedBefore = /* sql */ `nullif(n.xmax::text, '0') as locked_before`

export const lowestReady = (schema: string) => /* sql */ `
    select n.id from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2
    order by n.id limit 1
  `

/** What a claim that locks all that it can of a page tells about it. */
export const aboutPage = { highest: 'pg_catalog.max(p.id)', looked: 'pg_catalog.count(*)', from: 'page p' }

/**
 * One half of the keys, or all of them: what two claims of one worker at a time do not take from each other. What has no
 * key is in any order, and halved by its id.
 */
export type Half = 0 | 1 | null

// Ids of a listener may be all odd, where another one listens to the same table: so they are halved in blocks.
export const isOfHalf = /* sql */ `($4::bigint is null or coalesce(n.key, n.id / 64::bigint) & 1::bigint = $4)`

/** Its key is none of those in the parameter. */
export const isNotAmong = (keys: string) => `coalesce(n.key, n.id) not in (select pg_catalog.unnest(${keys}::bigint[]))`

/** A condition more, where the worker takes only what has a context. */
export const containing = (row: string, context: string | null) =>
  context === null ? '' : ` and ${row}.context operator(pg_catalog.@>) ${literal(context)}::jsonb`

/** Of the key of `n`. Where nothing waits at all, that is asked once. */
export const nothingWaits = (schema: string) => /* sql */ `(
  (select not exists (select from ${schema}.notification w where w.listener = $1 and w.run_at is not null))
  or not exists (select from ${schema}.notification w where w.listener = $1 and w.waiting_key = n.key offset 0)
)`
