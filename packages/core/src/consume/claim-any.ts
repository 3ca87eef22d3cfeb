import { answer, type Shape } from './claim-answer.js'
import { aboutPage, containing, isOfHalf, lockedBefore } from './claim-parts.js'
import { raw } from './pack.js'

/**
 * Claims fresh notifications in the order of their ids. `$1` listener, `$2` above which id, `$3` limit, `$4` half.
 *
 * No order is kept: each one is locked for itself.
 *
 * Of a context, one that is there counts as looked at, also where another worker has it.
 */
export const claimAny = (schema: string, shape: Shape, context: string | null) => /* sql */ `
  with page as materialized (
    select ${raw}, ${lockedBefore}
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2 and ${isOfHalf}${containing('n', context)}
    order by n.id
    limit $3
    for update skip locked
  )
  ${answer({ schema, shape, taken: { of: 'each', condition: 'true' }, ...aboutPage, ...(context && { highest: highestOf(schema, context) }), blocked: `''` })}
`

const highestOf = (schema: string, context: string) => /* sql */ `coalesce(pg_catalog.max(p.id), (
    select n.id from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2${containing('n', context)}
    order by n.id limit 1
  ))`
