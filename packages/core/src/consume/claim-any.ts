import { answer, type Shape } from './claim-answer.js'
import { aboutPage, isOfHalf, lockedBefore } from './claim-parts.js'
import { raw } from './pack.js'

/**
 * Claims fresh notifications in the order of their ids. `$1` listener, `$2` above which id, `$3` limit, `$4` half.
 *
 * No order is kept: each one is locked for itself.
 */
export const claimAny = (schema: string, shape: Shape) => /* sql */ `
  with page as materialized (
    select ${raw}, ${lockedBefore}
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2 and ${isOfHalf}
    order by n.id
    limit $3
    for update skip locked
  )
  ${answer({ schema, shape, taken: 'true', ...aboutPage, blocked: `''` })}
`
