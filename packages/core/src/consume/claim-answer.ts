import { lowestReady } from './claim-parts.js'
import { packed, packedNothing, single } from './pack.js'
import { isPaused } from './pause.js'

/*
 * What a claim answers: the notifications of `page` that are taken, and beside them what there is to know about it.
 */

/** Whether each notification comes in a row of its own, or, where there may be many, packed into lists. */
export type Shape = 'rows' | 'lists'

/** Which transactions are running; see Position. */
export const snapshot = /* sql */ `pg_snapshot_xmin(pg_current_snapshot())::text as oldest,
    pg_snapshot_xmax(pg_current_snapshot())::text as next`

interface Answer {
  readonly schema: string
  readonly shape: Shape
  /** Which of `page` `p` are taken. */
  readonly taken: string
  /** SQL of the highest id that was looked at, and of how many were. */
  readonly highest: string
  readonly looked: string
  /** Of the keys that are blocked, separated by commas. */
  readonly blocked: string
  /** What the last three are columns of. */
  readonly from: string
}

/** The select at the end of a claim. */
export function answer({ schema, shape, taken, highest, looked, blocked, from }: Answer): string {
  const about = /* sql */ `${highest}::text as highest, ${looked}::int as looked, ${blocked} as blocked,
    (${lowestReady(schema)})::text as lowest, ${snapshot}, ${isPaused(schema, '$1')} as paused`
  // to build lists of one or two costs more than the rest of the claim
  if (shape === 'rows') {
    return /* sql */ `select ${single}, a.* from (select ${about} from ${from} offset 0) a left join page p on ${taken}`
  }
  return /* sql */ `${packed(taken, nothingAbout)} union all select ${packedNothing}, ${about} from ${from}`
}

const nothingAbout = /* sql */ `null::text as highest, null::int as looked, null::text as blocked, null::text as lowest,
    null::text as oldest, null::text as next, null::boolean as paused`
