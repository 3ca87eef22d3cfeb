import { isOfHalf, lockedBefore, noSummary, summary } from './claim-parts.js'
import { packed, raw } from './pack.js'

/**
 * Claims fresh notifications in the order of their ids. `$1` listener, `$2` above which id, `$3` limit, `$4` half.
 *
 * No order is kept: each one is locked for itself.
 */
export const claimAny = (schema: string) => /* sql */ `
  with page as materialized (
    select ${raw}, ${lockedBefore}
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2 and ${isOfHalf}
    order by n.id
    limit $3
    for update skip locked
  )
  ${packed('true', noSummary)}
  ${summary(schema, `''`)}
`
