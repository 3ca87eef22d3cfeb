import { answer, type Shape } from './claim-answer.js'
import { aboutPage, containing, isNotAmong, isOfHalf, lockedBefore, nothingWaits } from './claim-parts.js'
import { raw } from './pack.js'

const differ = (one: string, other: string) =>
  `(select pg_catalog.count(*) from ${one}) <> (select pg_catalog.count(*) from ${other})`

/**
 * Claims fresh notifications in the order of each row. `$1` listener, `$2` above which id, `$3` limit, `$4` half, `$5` keys
 * known to be blocked, `$6` how many to look at.
 *
 * The lock on the oldest notification of a key is the lock on the key. Writers of one row queue on that row's lock, so
 * whoever sees a notification sees all older ones of its key: the oldest is the same for everyone, and only who locks it
 * may take the ones behind it. A key whose oldest notification waits for its retry is left alone.
 *
 * Not all writers of a key do queue: where a table has no key or shares it with heirs, and before an insert, an older
 * notification may appear while a younger one is being handled. So the ones behind the oldest are locked as well, and
 * the key is taken only where all of them could be.
 *
 *   page: the next ready ones ─► head: the oldest of each key, as far as they can be locked
 *                             ─► wanted: those behind them, up to the limit ─► behind: as far as they can be locked
 *                             ─► broken: keys of which something wanted could not be ─► untaken: the rest of the page
 *
 * A half may have nothing: so no more than three times as many are looked at for it.
 *
 * In most pages every key is there once, and none is with another worker: then the counts say so, and the joins that look
 * for what is behind and what is not taken are not made.
 */
export const claimByRow = (schema: string, shape: Shape, context: string | null) => /* sql */ `
  with ${context === null ? page(schema) : pageOfContext(schema, context)}, head as materialized (
    select n.id, coalesce(n.key, n.id) as lane
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting
      and n.id = any (array(select pg_catalog.min(p.id) from page p group by p.lane))
    order by n.id
    limit $3
    for update skip locked
  ), wanted as materialized (
    select p.id, p.lane
    from page p join head h on h.lane = p.lane and h.id <> p.id
    where ${differ('page', 'head')}
    order by p.id
    limit $3::bigint - (select pg_catalog.count(*) from head)
  ), behind as materialized (
    select n.id
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id = any (array(select w.id from wanted w))
    for update skip locked
  ), broken as materialized (
    select w.lane
    from wanted w left join behind b on b.id = w.id
    where b.id is null and ${differ('wanted', 'behind')}
  ), locked as materialized (
    select h.id from head h union all select b.id from behind b
  ), untaken as materialized (
    select p.id
    from page p left join locked l on l.id = p.id
    where (l.id is null or p.lane in (select b.lane from broken b)) and ${differ('page', 'locked')}
  ), blocked as materialized (
    select o.lane
    from (select p.lane, pg_catalog.min(p.id) as id from page p where ${differ('page', 'locked')} group by p.lane) o
    where o.id not in (select h.id from head h)
      -- all before the last one that was locked were tried; where fewer were locked than might be, all were
      and ((select pg_catalog.count(*) from head) < $3::bigint or o.id < (select pg_catalog.max(h.id) from head h))
    union
    select b.lane from broken b${context === null ? '' : ' union select h.lane from held h'}
  )
  ${answer({
    schema,
    shape,
    taken: { of: 'each', condition: 'p.id not in (select u.id from untaken u)' },
    ...(context === null ? aboutPage : aboutCandidates),
    blocked: blockedLanes,
  })}
`

const page = (schema: string) => /* sql */ `page as materialized (
    select *
    from (
      select ${raw}, coalesce(n.key, n.id) as lane, ${lockedBefore}
      from ${schema}.notification n
      where n.listener = $1 and not n.waiting and n.id > $2
        and ${isNotAmong('$5')}
        and ${nothingWaits(schema)}
      order by n.id
      limit case when $4::bigint is null then $6::bigint else $6::bigint * 3::bigint end
    ) n
    where ${isOfHalf}
    limit $6
  )`

/**
 * Of a context: what has it, up to the first of its key that has not, which another worker handles before. What is held by
 * such a one, or waits behind a retry, is a candidate, so that the worker looks again soon; what has another context is not.
 */
const pageOfContext = (schema: string, context: string) => /* sql */ `candidate as materialized (
    select *
    from (
      select ${raw}, coalesce(n.key, n.id) as lane, ${lockedBefore}, ${nothingWaits(schema)} as is_clear
      from ${schema}.notification n
      where n.listener = $1 and not n.waiting and n.id > $2${containing('n', context)}
        and ${isNotAmong('$5')}
      order by n.id
      limit case when $4::bigint is null then $6::bigint else $6::bigint * 3::bigint end
    ) n
    where ${isOfHalf}
    limit $6
  ), other as materialized (
    select n.key, pg_catalog.min(n.id) as id
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2 and n.id < (select pg_catalog.max(c.id) from candidate c)
      and n.key in (select c.lane from candidate c)
      and not (true${containing('n', context)})
    group by n.key
  ), held as materialized (
    select c.id, c.lane
    from candidate c left join other o on o.key = c.lane
    where not c.is_clear or o.id < c.id
  ), page as materialized (
    select c.* from candidate c where c.id not in (select h.id from held h)
  )`

const aboutCandidates = {
  highest: '(select pg_catalog.max(c.id) from candidate c)',
  looked: '(select pg_catalog.count(*) from candidate c)',
  from: '(select) p',
}

const blockedLanes = /* sql */ `coalesce((select pg_catalog.string_agg(b.lane::text, ',') from blocked b), '')`

/**
 * Which of the keys `$4` have an older notification than a claim above `$3` could see: one with an id above `$2` that
 * was not there for an earlier page, or that was hidden from it because the key's oldest waited for its retry.
 */
export const olderOf = (schema: string) => /* sql */ `
  select n.key::text as key
  from ${schema}.notification n
  where n.listener = $1 and not n.waiting and n.id > $2 and n.id <= $3 and n.key = any ($4::bigint[])
  union
  select w.waiting_key::text
  from ${schema}.notification w
  where w.listener = $1 and w.waiting_key = any ($4::bigint[])
`
