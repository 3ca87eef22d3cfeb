import type { Queryable } from '../database.js'
import type { OrderMode } from '../listener.js'
import type { Claim, Claimed, Claimer, Wanted } from './claim.js'
import type { Half } from './claim-parts.js'
import type { Running } from './ended.js'
import { type Passed, PassedOver } from './passed-over.js'
import { Position } from './position.js'
import { Settled } from './settled.js'
import type { StatementOptions } from './statement.js'
import type { Writers } from './writers.js'

/** What a transaction has claimed: fresh notifications, or ones that waited for their retry; never both. */
export interface Batch {
  readonly notifications: readonly Claimed[]
  readonly waiting: boolean
  /** There may be more that can be taken. */
  readonly more: boolean
  /** There is more that cannot be taken. */
  readonly blocked: boolean
}

/** The first claim of a transaction, and what was passed over for it. */
export interface Page {
  readonly passed: Passed | null
  readonly claim: Claim
  /** Nothing was in the way: it took all that is ready from where it began, but for the keys that are passed over. */
  readonly isClear: boolean
}

/** The most notifications that are looked at where others hold the first ones. */
const furthest = 1_000

/** Where another worker or a retry is in the way, it is taken to be for so many milliseconds. */
const unclearMs = 100

export interface FreshClaimsOptions {
  readonly schema: string
  readonly listener: string
  readonly order: OrderMode
  /** Only what has this context is taken; null: all. */
  readonly context: string | null
  readonly claimer: Claimer
  readonly statements: StatementOptions
  /** Called when there is more than one claim takes. */
  readonly onMore: () => void
}

/** Claims of what is fresh: where they begin, and what they pass over. */
export class FreshClaims {
  readonly #claimer: Claimer
  readonly #onMore: () => void
  readonly #ordered: boolean
  readonly #takesAll: boolean
  readonly #position = new Position()
  readonly #settled = new Settled()
  readonly #passedOver: PassedOver
  #further = 0
  /** From when on a plain scan is tried again: of all, and behind what is passed over. */
  #clearFrom = { all: 0, behind: 0 }

  constructor({ schema, listener, order, context, claimer, statements, onMore }: FreshClaimsOptions) {
    this.#claimer = claimer
    this.#onMore = onMore
    this.#ordered = order === 'row'
    this.#takesAll = context === null
    this.#passedOver = new PassedOver(schema, listener, statements)
  }

  /** Every notification that is ready has an id above this. */
  get start(): bigint {
    return this.#position.start
  }

  /** A look at the writers may help. */
  get isHeldBack(): boolean {
    return this.#position.isHeldBack || this.#passedOver.isUnsettled
  }

  /** Others of the same listener have found where ready notifications begin. */
  follow(leader: FreshClaims): void {
    this.#position.follow(leader.#position)
  }

  /** Call before each claim. */
  observe(running: Running): void {
    this.#position.observe(running)
    this.#settled.observe(running)
  }

  /** Call between {@link observe} and the claim, with who has a write lock on the notifications now. */
  observeWriters(writers: Writers): void {
    this.#position.observeWriters(writers)
    this.#settled.observeWriters(writers)
  }

  /** The next claim begins at the head. */
  forget(): void {
    this.#position.sweep()
    this.#passedOver.forget()
  }

  /** What waited has been taken: others of its key may be among what is passed over. */
  forgetPassedOver(): void {
    this.#passedOver.forget()
  }

  /** @param sent the first page, where it has been asked for */
  async take(db: Queryable, limit: number, half: Half, sent?: Page): Promise<Batch> {
    const first = sent ?? (await this.firstPage(db, limit, half))
    if (!first.passed) return this.#takeFrom(db, limit, half, first.claim)
    const { claimed, full } = first.claim
    if (!full || claimed.length === 0) this.#passedOver.forget()
    if (claimed.length === 0) return this.take(db, limit, half)
    if (full) this.#onMore()
    if (first.isClear) this.#goOnFrom(claimed)
    // what was passed over is looked at again
    return { notifications: claimed, waiting: false, more: true, blocked: true }
  }

  /** Claims behind what is known to be blocked, else where ready notifications begin. */
  async firstPage(db: Queryable, limit: number, half: Half): Promise<Page> {
    const passed = half === null ? this.#passedOver.current : null
    const wanted = { above: passed?.upTo ?? this.#position.start, limit, half, blocked: passed?.keys ?? [] }
    const oldest = await this.#oldest(db, wanted)
    return { passed, claim: oldest ?? (await this.#page(db, wanted)), isClear: oldest !== null }
  }

  #goOnFrom(claimed: readonly Claimed[]): void {
    const [first, last] = [claimed[0] as Claimed, claimed.at(-1) as Claimed]
    this.#passedOver.goOn(first.id, this.#settled.id)
    this.#settled.saw(last.id)
  }

  /**
   * Null where something is in the way. Then it is not tried again for a while: what it locks in vain, others may want. What is
   * passed over is not in the way of what is behind it.
   */
  async #oldest(db: Queryable, wanted: Wanted): Promise<Claim | null> {
    const where = wanted.blocked.length > 0 ? 'behind' : 'all'
    if (!this.#ordered || !this.#takesAll || performance.now() < this.#clearFrom[where]) return null
    const claim = await this.#claimer.oldest(db, wanted)
    if (!claim) this.#clearFrom[where] = performance.now() + unclearMs
    return claim
  }

  async #page(db: Queryable, wanted: Wanted): Promise<Claim> {
    const claim = await this.#claimer.fresh(db, wanted, this.#look(wanted.limit))
    this.#lookFurther(claim, wanted.limit)
    return claim
  }

  /** Page after page, until something can be taken. */
  async #takeFrom(db: Queryable, limit: number, half: Half, first: Claim): Promise<Batch> {
    const { start } = this.#position
    if (first.lowestId !== null) this.#position.saw(first.lowestId, first.claimed.length > 0)
    const blockedKeys: string[] = []
    for (
      let above = start, claim = first;
      ;
      claim = await this.#page(db, { above, limit, half, blocked: blockedKeys })
    ) {
      const notifications =
        above === start ? claim.claimed : await this.#claimer.withoutOvertaking(db, start, above, claim.claimed)
      if (claim.full && notifications.length > 0) this.#onMore()
      if (!claim.full || notifications.length > 0) {
        const [next] = notifications
        if (next && claim.highestId !== null) {
          this.#settled.saw(claim.highestId)
          const lowest = first.lowestId ?? next.id
          if (half === null) await this.#passedOver.remember(db, lowest, next.id, this.#settled.id)
        }
        // what has another context is for others, and does not block
        const blocked = above > start || (this.#takesAll ? claim.lowestId : claim.highestId) !== null
        return { notifications, waiting: false, more: claim.full, blocked }
      }
      blockedKeys.push(...claim.blockedKeys)
      above = claim.highestId as bigint
    }
  }

  /** As many as are to be taken, and more where others hold what comes first. */
  #look(limit: number): number {
    return Math.max(limit, this.#further)
  }

  #lookFurther({ claimed, blockedKeys }: Claim, limit: number): void {
    if (blockedKeys.length === 0) this.#further = 0
    else if (claimed.length < limit) this.#further = Math.min(this.#look(limit) * 4, furthest)
  }
}
