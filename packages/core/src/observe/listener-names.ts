import { readyAbove } from './ready-above.js'

/*
 * The names of all listeners that have something in the database, also of those that are not installed any more: their
 * notifications and dead letters stay behind. Found by steps through the index, from one name to the next, and never over the
 * rows of a listener that is known: behind a busy one there may be a million dead rows.
 */

/** The names in `table` above `above`, found one after another; `below`, a condition, may end them. */
const steps = (table: string, above: string, below: string) => /* sql */ `
  with recursive step as (
    (select t.listener from ${table} t where t.listener > ${above} ${below} order by t.listener limit 1)
    union all
    select (select t.listener from ${table} t where t.listener > s.listener ${below} order by t.listener limit 1)
    from step s where s.listener is not null
  )
  select s.listener from step s where s.listener is not null`

/** A query for `name`, `paused` and `ready_above`, one row a listener. */
export const listenerNames = (schema: string) => /* sql */ `
  with known as materialized (
    select l.name, l.paused, lag(l.name, 1, '') over (order by l.name) as before from ${schema}.listener l
  ), forgotten as materialized (
    select s.listener from known k cross join lateral (${steps(`${schema}.notification`, 'k.before', 'and t.listener < k.name')}) s
    union
    select s.listener
    from (select coalesce(max(k.name), '') as name from known k) last
    cross join lateral (${steps(`${schema}.notification`, 'last.name', '')}) s
    union
    select s.listener from (${steps(`${schema}.dead_letter`, `''`, '')}) s
    where s.listener not in (select k.name from known k)
  )
  select l.name, l.paused, ${readyAbove(schema, 'l.name')} as ready_above
  from (select k.name, k.paused from known k union all select f.listener, false from forgotten f) l
`
