import type { Queryable } from '../database.js'
import type { Listener } from '../listener.js'
import { identifier, literal } from '../quote.js'
import { Claimer, type Seen, seenIn } from './claim.js'
import { snapshot } from './claim-answer.js'
import type { Half } from './claim-parts.js'
import { type Batch, FreshClaims } from './fresh-claims.js'
import { NextRetry } from './next-retry.js'
import { isPaused } from './pause.js'
import { setForTransaction } from './plan.js'
import { Statement, type StatementOptions } from './statement.js'
import type { BatchTransaction, Beginning, TransactionSource } from './transaction.js'
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

// The snapshot tells which transactions are running; see Position. Serializable would make claims of two workers fail each
// other, so the isolation level does not depend on the database's default.
const beginning = (schema: string, { definition, consume }: Listener): Beginning => {
  const look = /* sql */ `
  select ${snapshot[0]}::text as oldest, ${snapshot[1]}::text as next, ${isPaused(identifier(schema), literal(definition.name))} as paused,
    (extract(epoch from clock_timestamp()) * 1000::numeric)::float8 as now`
  return consume.transactional
    ? { sql: `${look}, ${setForTransaction}, ${markAsWriter(schema)}`, look: null }
    : { sql: `${look}, ${setForTransaction}`, look }
}

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
  readonly #fresh: FreshClaims
  readonly #nextRetry: NextRetry
  readonly #leader: Claims | null
  readonly #readyUpTo: Statement
  readonly #currentWriters: Statement
  readonly #beginning: Beginning
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
    const { context } = listener.consume
    this.#beginning = beginning(schema, listener)
    this.#claimer = new Claimer(schema, name, order, context, statements)
    this.#nextRetry = leader?.nextRetry ?? new NextRetry(schema, name, context, statements)
    const claimer = this.#claimer
    this.#fresh = new FreshClaims({
      schema,
      listener: name,
      order,
      context,
      claimer,
      statements,
      onMore: options.onMore,
    })
    this.#readyUpTo = new Statement(readyUpTo(identifier(schema)), statements)
    this.#currentWriters = new Statement(currentWriters(schema), statements)
  }

  /** Every notification that is ready has an id above this. */
  get start(): bigint {
    return this.#fresh.start
  }

  /** When the next retry is due, as far as this worker knows. */
  get nextRetry(): NextRetry {
    return this.#nextRetry
  }

  /** A claim has failed, or what came of it is not known: the next one begins at the head. */
  forget(): void {
    this.#fresh.forget()
  }

  /** Begins a transaction to claim in. */
  begin(source: TransactionSource, after: BatchTransaction | null): Promise<BatchTransaction> {
    return source.begin(this.#beginning, after)
  }

  /** Claims what is due, else what is fresh of one half. Where the listener is paused, nothing may be taken. */
  async take(transaction: BatchTransaction, limit: number, half: Half): Promise<Batch | 'paused'> {
    if (this.#leader) this.#fresh.follow(this.#leader.#fresh)
    return transaction.pipelined && !this.#mustLookFirst
      ? this.#takeAtOnce(transaction, limit, half)
      : this.#lookAndTake(transaction, limit, half)
  }

  /** Something other than what is fresh may have to be taken, or the start is held back by a writer. */
  get #mustLookFirst(): boolean {
    return this.#retryIsDue || this.#sweepIsDue || this.#wasHeldBack
  }

  get #retryIsDue(): boolean {
    return !this.#leader && this.#nextRetry.isDue
  }

  get #sweepIsDue(): boolean {
    return !this.#leader && Date.now() >= this.#nextSweepAt
  }

  /** The claim is sent together with the beginning of the transaction. */
  async #takeAtOnce(transaction: BatchTransaction, limit: number, half: Half): Promise<Batch | 'paused'> {
    const claiming = this.#fresh.firstPage(transaction, limit, half)
    claiming.catch(() => {}) // where the beginning has failed, that is reported
    await transaction.begun
    const first = await claiming
    const { paused } = this.#observe(first.claim.seen)
    this.#wasHeldBack = this.#fresh.isHeldBack
    return paused ? 'paused' : this.#fresh.take(transaction, limit, half, first)
  }

  async #lookAndTake(transaction: BatchTransaction, limit: number, half: Half): Promise<Batch | 'paused'> {
    const { paused } = this.#observe(seenIn(await transaction.first))
    if (this.#fresh.isHeldBack) await this.#lookAtWriters(transaction)
    this.#wasHeldBack = this.#fresh.isHeldBack && Date.now() >= this.#nextLookAt
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
    const found = await this.#anythingUpTo(db, this.#fresh.start)
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

  #observe(seen: Seen): Seen {
    this.#fresh.observe(seen)
    return seen
  }

  async #lookAtWriters(db: Queryable): Promise<void> {
    if (Date.now() < this.#nextLookAt) return
    this.#nextLookAt = Date.now() + lookMs
    const { rows } = await this.#currentWriters.run(db, [])
    this.#fresh.observeWriters(new Set(rows.map((row) => row.virtualtransaction as string)))
  }

  async #takeDueOrFresh(db: Queryable, limit: number, half: Half): Promise<Batch> {
    if (!this.#retryIsDue) return this.#fresh.take(db, limit, half)
    const due = await this.#claimer.due(db, limit)
    if (due.length > 0) {
      this.#fresh.forgetPassedOver()
      return { notifications: due, waiting: true, more: true, blocked: false }
    }
    await this.#nextRetry.refresh(db)
    if (!this.#retryIsDue) return this.#fresh.take(db, limit, half)
    // it is with another worker: it is asked for again, but not before every claim
    this.#nextRetry.notBefore(50)
    return { ...(await this.#fresh.take(db, limit, half)), blocked: true }
  }
}
