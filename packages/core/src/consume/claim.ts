import type { Queryable, ResultRow } from '../database.js'
import type { OrderMode } from '../listener.js'
import { identifier, numbersText } from '../quote.js'
import { readAbout, type Shape } from './claim-answer.js'
import { claimAny } from './claim-any.js'
import { claimByRow, olderOf } from './claim-by-row.js'
import { claimDue } from './claim-due.js'
import { claimOldest, type Part } from './claim-oldest.js'
import type { Half } from './claim-parts.js'
import type { Running } from './ended.js'
import { unpack } from './pack.js'
import { Statement, type StatementOptions } from './statement.js'

/** A claimed notification, as stored. `old` and `new` are JSON text. */
export interface Claimed {
  readonly id: bigint
  /** Changes of one key are handled one after another; null: in any order. */
  readonly key: string | null
  readonly operation: string
  readonly old: string | null
  readonly new: string | null
  readonly changed: readonly string[] | null
  readonly context: string
  /** Failed attempts so far. */
  readonly attempts: number
  readonly createdAt: Date
  /** It was in flight when its worker died, and is handled alone. */
  readonly alone: boolean
  /** Whose lease on it has lapsed. */
  readonly lease: string | null
  /** The version of the model that stored it, where that is another one than now; not asked where there is no `upcast`. */
  readonly storedBy?: string | null
  /** The transaction that had locked it before, by its 32-bit id; null where none had. */
  readonly lockedBefore: string | null
}

/** What a transaction sees beside notifications. */
export interface Seen extends Running {
  /** Nothing of the listener may be taken. */
  readonly paused: boolean
}

export interface Claim {
  readonly claimed: readonly Claimed[]
  /** Keys whose next change is locked by another worker. */
  readonly blockedKeys: readonly string[]
  /** The lowest ready id above where the claim began, whether it could be taken or not; null where it found none. */
  readonly lowestId: bigint | null
  /** The highest id that the claim looked at, null where it found none. */
  readonly highestId: bigint | null
  /** Whether it looked at as many as it might: there may be more behind. */
  readonly full: boolean
  readonly seen: Seen
}

/** Which fresh notifications to claim. */
export interface Wanted {
  readonly above: bigint
  readonly limit: number
  readonly half: Half
  /** Keys that are known to be blocked, and left out. */
  readonly blocked: readonly string[]
}

/** A statement whose answer may have either shape. */
type Shaped = Readonly<Record<Shape, Statement>>

const shaped = (statement: (shape: Shape) => Statement): Shaped => ({
  rows: statement('rows'),
  lists: statement('lists'),
})

/** Up to so many are expected to be few: what arrives while a worker sleeps, or has just woken up. */
const few = 64
const shapeFor = (limit: number): Shape => (limit <= few ? 'rows' : 'lists')

/** The statements that take notifications for one listener, in the transaction of the caller. */
export class Claimer {
  readonly #listener: string
  readonly #order: OrderMode
  readonly #fresh: Shaped
  readonly #oldest: Readonly<Record<Part, Shaped>>
  readonly #due: Statement
  readonly #olderOf: Statement

  constructor(
    schemaName: string,
    listener: string,
    order: OrderMode,
    context: string | null,
    statements: StatementOptions,
  ) {
    const schema = identifier(schemaName)
    this.#listener = listener
    this.#order = order
    const claimFresh = order === 'row' ? claimByRow : claimAny
    this.#fresh = shaped((shape) => new Statement(claimFresh(schema, shape, context), statements))
    const oldest = (part: Part) => shaped((shape) => new Statement(claimOldest(schema, shape, part), statements))
    this.#oldest = { all: oldest('all'), half: oldest('half'), behind: oldest('behind') }
    this.#due = new Statement(claimDue(schema, context), statements)
    this.#olderOf = new Statement(olderOf(schema), statements)
  }

  /** In the order of each row: the oldest, where nothing is in their way; null where something is. */
  async oldest(db: Queryable, { above, limit, half, blocked }: Wanted): Promise<Claim | null> {
    // nothing is passed over for a half
    const [part, ...of]: [Part, ...unknown[]] =
      half !== null ? ['half', half] : blocked.length > 0 ? ['behind', numbersText(blocked)] : ['all']
    const statement = this.#oldest[part][shapeFor(limit)]
    const { rows } = await statement.run(db, [this.#listener, above, limit, ...of])
    const claim = toClaim(rows, limit, half)
    return claim.claimed.length === 0 && claim.highestId !== null ? null : claim
  }

  /** @param look among how many it may look for those that can be taken, where it has to look for them */
  async fresh(db: Queryable, { above, limit, half, blocked }: Wanted, look: number): Promise<Claim> {
    const values: unknown[] = [this.#listener, above, limit, half]
    if (this.#order === 'row') values.push(numbersText(blocked), look)
    const { rows } = await this.#fresh[shapeFor(limit)].run(db, values)
    return toClaim(rows, limit, half, this.#order === 'row' ? look : limit)
  }

  /** Leaves out of a later page's claim the keys that have something older, which an earlier page did not see. */
  async withoutOvertaking(
    db: Queryable,
    start: bigint,
    above: bigint,
    claimed: readonly Claimed[],
  ): Promise<Claimed[]> {
    const keys = [...new Set(claimed.map(({ key }) => key))].filter((key) => key !== null)
    if (keys.length === 0) return [...claimed]
    const { rows } = await this.#olderOf.run(db, [this.#listener, start, above, keys])
    const older = new Set(rows.map((row) => row.key as string))
    return claimed.filter(({ key }) => key === null || !older.has(key))
  }

  /** Those to be handled alone are claimed one at a time, when no other is due. */
  async due(db: Queryable, limit: number): Promise<Claimed[]> {
    const { rows } = await this.#due.run(db, [this.#listener, limit, false])
    if (rows.length > 0) return unpack(rows)
    const alone = await this.#due.run(db, [this.#listener, 1, true])
    return unpack(alone.rows)
  }
}

export const seenIn = ({ oldest, next, paused }: ResultRow): Seen => ({
  oldest: BigInt(oldest),
  next: BigInt(next),
  paused,
})

/** @param most how many it might look at */
function toClaim(rows: readonly ResultRow[], limit: number, half: Half, most = limit): Claim {
  // one tells about the page, or each of them
  const { looked, blockedKeys, lowestId, highestId, seen } = readAbout(rows.find(({ about }) => about !== null).about)
  const claimed = unpack(rows)
  // of a half that is ahead of the other, not all that are allowed are found among those that are looked at
  const full = looked >= (half === null ? most : most / 2) || claimed.length >= limit
  return { claimed, blockedKeys, lowestId, highestId, full, seen }
}
