import type { Queryable, ResultRow } from '../database.js'
import type { Listener } from '../listener.js'
import { identifier } from '../quote.js'
import { type Claim, type Claimed, Claimer, type Wanted } from './claim.js'
import type { Half } from './claim-parts.js'
import { NextRetry } from './next-retry.js'
import { type Passed, PassedOver } from './passed-over.js'
import { isPaused } from './pause.js'
import { setPlan } from './plan.js'
import { Position } from './position.js'
import { Settled } from './settled.js'
import { Statement, type StatementOptions } from './statement.js'
import type { BatchTransaction, TransactionSource } from './transaction.js'
import { currentWriters, markAsWriter } from './writers.js'

export interface ClaimsOptions {
  readonly listener: Listener
  readonly schema: string
  /** Milliseconds after which it is looked for what is below where claims begin. */
  readonly sweepMs: number
  readonly statements: StatementOptions
  /** Called when there is more than one claim takes. */
  readonly onMore: () => void
}

/** The first claim of a transaction, and what was passed over for it. */
interface Page {
  readonly passed: Passed | null
  readonly claim: Claim
}

/** What a transaction has claimed: fresh notifications, or ones that waited for their retry; never both. */
export interface Batch {
  readonly notifications: readonly Claimed[]
  readonly waiting: boolean
  /** There may be more that can be taken. */
  readonly more: boolean
  /** There is more that cannot be taken. */
  readonly blocked: boolean
}

// The snapshot tells which transactions were running before the claim looked; see Position. Serializable would make
// claims of two workers fail each other, so the isolation level does not depend on the database's default.
// Nor may a slow handler be taken for a forgotten transaction; servers before 17 have no transaction_timeout.
const prologue = (schema: string, { definition, consume }: Listener) => /* sql */ `
  select pg_snapshot_xmin(s)::text as oldest, pg_snapshot_xmax(s)::text as next,
    (extract(epoch from clock_timestamp()) * 1000::numeric)::float8 as now,
    ${isPaused(identifier(schema), definition.name)} as paused, ${setPlan},
    set_config('idle_in_transaction_session_timeout', '0', true),
    case when current_setting('transaction_timeout', true) is not null then set_config('transaction_timeout', '0', true) end
    ${consume.transactional ? `, ${markAsWriter(schema)}` : ''}
  from pg_current_snapshot() s`

/** The most notifications that are looked at where others hold the first ones. */
const furthest = 1_000

/** Where another worker or a retry is in the way, it is taken to be for so many milliseconds. */
const unclearMs = 100

const readyUpTo = (schema: string) => /* sql */ `
  select from ${schema}.notification n where n.listener = $1 and not n.waiting and n.id <= $2 limit 1`

/** A look for what should not be there takes no more than this part of the time. */
const sweepOneIn = 100

// A look at the locks costs about as much as a claim of a few rows, so it is not taken before each.
const lookMs = 20

/** The claims of one listener in one worker: what each takes, and where it begins. */
export class Claims {
  readonly #options: ClaimsOptions
  readonly #claimer: Claimer
  readonly #position = new Position()
  readonly #settled = new Settled()
  readonly #passedOver: PassedOver
  readonly #nextRetry: NextRetry
  readonly #leader: Claims | null
  readonly #ordered: boolean
  readonly #readyUpTo: Statement
  readonly #currentWriters: Statement
  readonly #prologue: string
  #further = 0
  #clearFrom = 0
  #nextSweepAt = 0
  #nextLookAt = 0
  /** The last claim had to begin where the one before did, for a writer's sake. */
  #wasHeldBack = false

  /** @param leader the worker's other claims, which see to all that is not fresh */
  constructor(options: ClaimsOptions, leader: Claims | null = null) {
    this.#options = options
    this.#leader = leader
    const { listener, schema, statements } = options
    const { name, order } = listener.definition
    this.#ordered = order === 'row'
    this.#prologue = prologue(schema, listener)
    this.#claimer = new Claimer(schema, name, order, statements)
    this.#nextRetry = leader?.nextRetry ?? new NextRetry(schema, name, statements)
    this.#passedOver = new PassedOver(schema, name, statements)
    this.#readyUpTo = new Statement(readyUpTo(identifier(schema)), statements)
    this.#currentWriters = new Statement(currentWriters(schema), statements)
  }

  /** Every notification that is ready has an id above this. */
  get start(): bigint {
    return this.#position.start
  }

  /** When the next retry is due, as far as this worker knows. */
  get nextRetry(): NextRetry {
    return this.#nextRetry
  }

  /** A claim has failed, or what came of it is not known: the next one begins at the head. */
  forget(): void {
    this.#position.sweep()
    this.#passedOver.forget()
  }

  /** Begins a transaction to claim in. */
  begin(source: TransactionSource, after: BatchTransaction | null): Promise<BatchTransaction> {
    return source.begin(this.#prologue, after)
  }

  /** Claims what is due, else what is fresh of one half. Where the listener is paused, nothing may be taken. */
  async take(transaction: BatchTransaction, limit: number, half: Half): Promise<Batch | 'paused'> {
    if (this.#leader) this.#position.follow(this.#leader.#position)
    return transaction.pipelined && !this.#mustLookFirst
      ? this.#takeAtOnce(transaction, limit, half)
      : this.#lookAndTake(transaction, limit, half)
  }

  /** Something other than what is fresh may have to be taken, or the start is held back by a writer. */
  get #mustLookFirst(): boolean {
    return this.#retryIsDue || this.#sweepIsDue || this.#wasHeldBack
  }

  /** A look at the writers may help. */
  get #isHeldBack(): boolean {
    return this.#position.isHeldBack || this.#passedOver.isUnsettled
  }

  get #retryIsDue(): boolean {
    return !this.#leader && this.#nextRetry.isDue
  }

  get #sweepIsDue(): boolean {
    return !this.#leader && Date.now() >= this.#nextSweepAt
  }

  /** The claim is sent together with the beginning of the transaction. */
  async #takeAtOnce(transaction: BatchTransaction, limit: number, half: Half): Promise<Batch | 'paused'> {
    const claiming = this.#firstPage(transaction, limit, half)
    claiming.catch(() => {}) // where the beginning has failed, that is reported
    const { paused } = this.#observe(await transaction.first)
    this.#wasHeldBack = this.#isHeldBack
    const first = await claiming
    return paused ? 'paused' : this.#takeFresh(transaction, limit, half, first)
  }

  async #lookAndTake(transaction: BatchTransaction, limit: number, half: Half): Promise<Batch | 'paused'> {
    const { paused } = this.#observe(await transaction.first)
    if (this.#isHeldBack) await this.#lookAtWriters(transaction)
    this.#wasHeldBack = this.#isHeldBack && Date.now() >= this.#nextLookAt
    if (paused) return 'paused'
    const found = this.#sweepIsDue && (await this.#sweep(transaction))
    return this.#takeDueOrFresh(transaction, limit, found ? null : half)
  }

  /**
   * Looks whether there is something where nothing should be. Where vacuum is held back that means to read over all that
   * is dead, so it is done the more seldom the longer it takes.
   */
  async #sweep(db: Queryable): Promise<boolean> {
    const begun = performance.now()
    const found = await this.#anythingUpTo(db, this.#position.start)
    if (found) this.forget()
    await this.#nextRetry.refresh(db)
    const took = performance.now() - begun
    this.#nextSweepAt = Date.now() + Math.max(this.#options.sweepMs, took * sweepOneIn)
    return found
  }

  async #anythingUpTo(db: Queryable, id: bigint): Promise<boolean> {
    if (id === 0n) return false
    const { rows } = await this.#readyUpTo.run(db, [this.#options.listener.definition.name, id])
    return rows.length > 0
  }

  #observe(first: ResultRow): ResultRow {
    const running = { oldest: BigInt(first.oldest), next: BigInt(first.next) }
    this.#position.observe(running)
    this.#settled.observe(running)
    return first
  }

  async #lookAtWriters(db: Queryable): Promise<void> {
    if (Date.now() < this.#nextLookAt) return
    this.#nextLookAt = Date.now() + lookMs
    const { rows } = await this.#currentWriters.run(db, [])
    const writers = new Set(rows.map((row) => row.virtualtransaction as string))
    this.#position.observeWriters(writers)
    this.#settled.observeWriters(writers)
  }

  async #takeDueOrFresh(db: Queryable, limit: number, half: Half): Promise<Batch> {
    if (!this.#retryIsDue) return this.#takeFresh(db, limit, half)
    const due = await this.#claimer.due(db, limit)
    if (due.length > 0) {
      this.#passedOver.forget() // what waited for them may be among it
      return { notifications: due, waiting: true, more: true, blocked: false }
    }
    await this.#nextRetry.refresh(db)
    if (!this.#retryIsDue) return this.#takeFresh(db, limit, half)
    // it is with another worker: it is asked for again, but not before every claim
    this.#nextRetry.notBefore(50)
    return { ...(await this.#takeFresh(db, limit, half)), blocked: true }
  }

  async #takeFresh(db: Queryable, limit: number, half: Half, sent?: Page): Promise<Batch> {
    const first = sent ?? (await this.#firstPage(db, limit, half))
    if (!first.passed) return this.#takeFrom(db, limit, half, first.claim)
    const { claimed, full } = first.claim
    if (!full || claimed.length === 0) this.#passedOver.forget()
    if (claimed.length === 0) return this.#takeFresh(db, limit, half)
    if (full) this.#options.onMore()
    // what was passed over is looked at again
    return { notifications: claimed, waiting: false, more: true, blocked: true }
  }

  /** Claims behind what is known to be blocked, else where ready notifications begin. */
  async #firstPage(db: Queryable, limit: number, half: Half): Promise<Page> {
    const passed = half === null ? this.#passedOver.current : null
    const wanted = { above: passed?.upTo ?? this.#position.start, limit, half, blocked: passed?.keys ?? [] }
    return { passed, claim: (await this.#oldest(db, wanted)) ?? (await this.#page(db, wanted)) }
  }

  /** Null where something is in the way. Then it is not tried again for a while: what it locks in vain, others may want. */
  async #oldest(db: Queryable, wanted: Wanted): Promise<Claim | null> {
    if (!this.#ordered || performance.now() < this.#clearFrom) return null
    const claim = await this.#claimer.oldest(db, wanted)
    if (!claim) this.#clearFrom = performance.now() + unclearMs
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
      if (claim.full && notifications.length > 0) this.#options.onMore()
      if (!claim.full || notifications.length > 0) {
        const [next] = notifications
        if (next && claim.highestId !== null) {
          this.#settled.saw(claim.highestId)
          const lowest = first.lowestId ?? next.id
          if (half === null) await this.#passedOver.remember(db, lowest, next.id, this.#settled.id)
        }
        const blocked = above > start || claim.lowestId !== null
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
