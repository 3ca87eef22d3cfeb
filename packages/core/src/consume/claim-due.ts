import { containing, lockedBefore } from './claim-parts.js'
import { packedWaiting, rawWaiting } from './pack.js'

/**
 * Claims notifications whose retry is due, or whose lease has lapsed. `$1` listener, `$2` limit, `$3` those to be handled
 * alone, or the others. Of a key only the oldest can have failed, but where a listener became ordered later, or dead
 * letters are retried, there may be more: then the oldest comes first.
 */
export const claimDue = (schema: string, context: string | null) => /* sql */ `
  with page as materialized (
    select ${rawWaiting}, ${lockedBefore}
    from ${schema}.notification n
    where n.listener = $1 and n.run_at <= now() and n.alone = $3${containing('n', context)}
      and not exists (
        select from ${schema}.notification w
        where w.listener = $1 and w.waiting_key = n.waiting_key and w.id < n.id
        offset 0
      )
    order by n.run_at
    limit $2
    for update skip locked
  )
  ${packedWaiting}
`
