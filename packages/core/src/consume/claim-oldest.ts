import { answer, type Shape } from './claim-answer.js'
import { isNotAmong, isOfHalf, nothingWaits } from './claim-parts.js'
import { raw } from './pack.js'

/** Which keys are looked at: all, those of one half, or all but some that are passed over. */
export type Part = 'all' | 'half' | 'behind'

/**
 * Claims fresh notifications in the order of each row where nothing is in the way: none of their keys waits, nobody has
 * ever locked one of the oldest, and all of them can be locked now. Then they are the oldest of their keys without more ado. Else
 * nothing is claimed, however many were looked at. `$1` listener, `$2` above which id, `$3` limit, `$4` the half, or the keys
 * that are passed over.
 *
 * One that was locked before may tell of a worker that has died, and a lock in vain would write over it. So they are looked
 * at first, and then fetched from where they are: what is dead, or of the other half, is read over once. One that was put
 * off in between has a `run_at`; any condition that an index could serve would let the planner read that index instead.
 */
export const claimOldest = (schema: string, shape: Shape, part: Part) => /* sql */ `
  with oldest as materialized (
    select pg_catalog.max(o.id) as highest, pg_catalog.min(o.id) as lowest, pg_catalog.count(*) as looked,
      pg_catalog.array_agg(o.ctid) as places, coalesce(pg_catalog.bool_and(o.is_clear), true) as is_clear
    from (
      select n.id, n.ctid, n.xmax = '0'::xid and ${nothingWaits(schema)} as is_clear
      from ${scans[part](schema)}
    ) o
  ), page as materialized (
    select ${raw}, null::text as locked_before
    from ${schema}.notification n
    where n.ctid = any ((select o.places from oldest o where o.is_clear)::tid[]) and n.run_at is null
    for update skip locked
  )
  ${answer({
    schema,
    shape,
    taken: { of: 'all', condition: 'o.is_clear and o.looked = (select pg_catalog.count(*) from page)' },
    ...(part === 'all' && { lowest: 'o.lowest' }),
    highest: 'o.highest',
    looked: 'o.looked',
    blocked: `''`,
    from: 'oldest o',
  })}
`

const ready = (schema: string, limit: string, condition = '') => /* sql */ `(
        select n.id, n.key, n.xmax, n.ctid
        from ${schema}.notification n
        where n.listener = $1 and not n.waiting and n.id > $2${condition}
        order by n.id
        limit ${limit}
      ) n`

const scans: Readonly<Record<Part, (schema: string) => string>> = {
  all: (schema) => ready(schema, '$3'),
  // a half may have nothing: so no more than three times the limit is looked at for it
  half: (schema) => `${ready(schema, '$3::bigint * 3::bigint')} where ${isOfHalf} limit $3`,
  behind: (schema) => ready(schema, '$3', ` and ${isNotAmong('$4')}`),
}
