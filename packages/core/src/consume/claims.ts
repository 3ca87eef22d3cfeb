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
import { Sweep } from './sweep.js'
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

// A look at the locks costs about as much as a claim of a few rows, so it is not taken before each.
const lookMs = 20

/** The claims of one listener in one worker: what each takes, and where it begins. */
export class Claims {
  readonly #claimer: Claimer
  readonly #fresh: FreshClaims
  readonly #nextRetry: NextRetry
  readonly #leader: Claims | null
  readonly #sweep: Sweep
  readonly #currentWriters: Statement
  readonly #beginning: Beginning
  #nextLookAt = 0
  /** The last claim had to begin where the one before did, for a writer's sake. */
  #wasHeldBack = false

  /** @param leader the worker's other claims, which see to all that is not fresh */
  constructor(options: ClaimsOptions, leader: Claims | null = null) {
    this.#leader = leader
    const { listener, schema, sweepMs, statements } = options
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
    this.#sweep = new Sweep(schema, name, sweepMs, statements)
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
    return this.#retryIsDue || this.isSweepDue || this.#wasHeldBack
  }

  get #retryIsDue(): boolean {
    return !this.#leader && this.#nextRetry.isDue
  }

  /** It is time to look below where claims begin, which the next claim does first. */
  get isSweepDue(): boolean {
    return !this.#leader && this.#sweep.isDue
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
    const found = this.isSweepDue && (await this.#lookBelow(transaction))
    return this.#takeDueOrFresh(transaction, limit, found ? null : half)
  }

  /** @returns whether something was ready where nothing should be */
  async #lookBelow(db: Queryable): Promise<boolean> {
    const found = await this.#sweep.goOn(db, this.#fresh.start)
    if (found) this.forget()
    await this.#nextRetry.refresh(db)
    return found
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
