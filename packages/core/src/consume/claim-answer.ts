import { lowestReady } from './claim-parts.js'
import { packed, single } from './pack.js'
import { isPaused } from './pause.js'

/*
 * What a claim answers: the notifications of `page` that are taken, and beside them what there is to know about it.
 */

/** Whether each notification comes in a row of its own, or, where there may be many, packed into lists. */
export type Shape = 'rows' | 'lists'

/** Which transactions are running: none below the first is, and none from the second on had begun; see Position. */
export const snapshot = ['pg_snapshot_xmin(pg_current_snapshot())', 'pg_snapshot_xmax(pg_current_snapshot())'] as const

interface Answer {
  readonly schema: string
  readonly shape: Shape
  /** Which of `page` `p` are taken, or, of what `from` names, whether all of them are. */
  readonly taken: { readonly of: 'each' | 'all'; readonly condition: string }
  /** SQL of the lowest ready id; else it is looked up. */
  readonly lowest?: string
  /** SQL of the highest id that was looked at, and of how many were. */
  readonly highest: string
  readonly looked: string
  /** Of the keys that are blocked, separated by commas. */
  readonly blocked: string
  /** What all of these are columns of. */
  readonly from: string
}

/** The select at the end of a claim. */
export function answer({ schema, shape, taken, lowest, highest, looked, blocked, from }: Answer): string {
  const lowestOf = lowest ?? `(${lowestReady(schema)})`
  const about = [highest, looked, lowestOf, ...snapshot, isPaused(schema, '$1'), blocked]
  const told = /* sql */ `pg_catalog.concat(${about.join(`, ',', `)}) as about`
  const { of, condition } = taken
  // to build lists of one or two costs more than the rest of the claim
  if (shape === 'rows') {
    const asked = of === 'all' ? `, ${condition} as is_taken` : ''
    return /* sql */ `select ${single}, a.about from (select ${told}${asked} from ${from} offset 0) a
  left join page p on ${of === 'all' ? 'a.is_taken' : condition}`
  }
  const where = of === 'all' ? `(select ${condition} from ${from})` : condition
  return /* sql */ `${packed(where, 'null::text as about')} union all select null, ${told} from ${from}`
}

/** What {@link answer} tells about the page; what is null is empty. */
export function readAbout(about: string) {
  const [highest = '', looked = '', lowest = '', oldest = '', next = '', paused, ...blocked] = about.split(',')
  return {
    highestId: highest === '' ? null : BigInt(highest),
    looked: Number(looked),
    lowestId: lowest === '' ? null : BigInt(lowest),
    seen: { oldest: BigInt(oldest), next: BigInt(next), paused: paused === 't' },
    blockedKeys: blocked.filter((key) => key !== ''),
  }
}
