import { answer, type Shape } from './claim-answer.js'
import { isOfHalf, nothingWaits } from './claim-parts.js'
import { raw } from './pack.js'

/**
 * Claims fresh notifications in the order of each row where nothing is in the way: none of their keys waits, nobody has
 * ever locked one of the oldest, and all of them can be locked now. Then they are the oldest of their keys without more ado. Else
 * nothing is claimed, and `looked` is null. `$1` listener, `$2` above which id, `$3` limit, `$4` half, `$5` keys to leave
 * out.
 *
 * One that was locked before may tell of a worker that has died, and a lock in vain would write over it. So they are looked
 * at first, and then fetched from where they are: what is dead, or of the other half, is read over once. One that was put
 * off in between has a `run_at`; any condition that an index could serve would let the planner read that index instead.
 *
 * A half may have nothing: so no more than three times the limit is looked at for it.
 */
export const claimOldest = (schema: string, shape: Shape) => /* sql */ `
  with oldest as materialized (
    select pg_catalog.max(o.id) as highest, pg_catalog.count(*) as looked, pg_catalog.array_agg(o.ctid) as places,
      coalesce(pg_catalog.bool_and(o.is_clear), true) as is_clear
    from (
      select n.id, n.ctid, n.xmax = '0'::xid and ${nothingWaits(schema)} as is_clear
      from (
        select n.id, n.key, n.xmax, n.ctid
        from ${schema}.notification n
        where n.listener = $1 and not n.waiting and n.id > $2
          and coalesce(n.key, n.id) not in (select pg_catalog.unnest($5::bigint[]))
        order by n.id
        limit case when $4::bigint is null then $3::bigint else $3::bigint * 3::bigint end
      ) n
      where ${isOfHalf}
      limit $3
    ) o
  ), page as materialized (
    select ${raw}, null::text as locked_before
    from ${schema}.notification n
    where n.ctid = any ((select o.places from oldest o where o.is_clear)::tid[]) and n.run_at is null
    for update skip locked
  ), taken as materialized (
    select o.highest, o.looked, o.is_clear and o.looked = (select pg_catalog.count(*) from page) as is_clear
    from oldest o
  )
  ${answer({
    schema,
    shape,
    taken: '(select t.is_clear from taken t)',
    highest: 't.highest',
    looked: 'case when t.is_clear then t.looked end',
    blocked: `''`,
    from: 'taken t',
  })}
`
