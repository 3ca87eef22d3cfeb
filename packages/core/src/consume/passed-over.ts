import type { Queryable } from '../database.js'
import { identifier } from '../quote.js'
import { Statement, type StatementOptions } from './statement.js'

const keysBetween = (schema: string) => /* sql */ `
  select pg_catalog.string_agg(k.key::text, ',') as keys, pg_catalog.count(*)::int as count
  from (
    select distinct coalesce(n.key, n.id) as key
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id >= $2 and n.id <= $3
  ) k
`

/** Notifications that cannot be taken for now: all up to an id, and whatever else is of their keys. */
export interface Passed {
  readonly upTo: bigint
  readonly keys: readonly string[]
}

/** How long they are passed over unseen, in milliseconds: so long may one wait that could be taken again. */
const unseenMs = 100
/** A claim is given all of the keys. */
const mostKeys = 1_000
/** From so many ids on, it pays. */
const worthIds = 300n

/**
 * What a claim has found to be blocked, so that the claims after it need not read over it: notifications of keys whose
 * oldest is with another worker or waits for its retry.
 *
 * It must be settled ({@link Settled}): then what is ready among it later is ready among it now. So a key that is not in
 * there has nothing older there, and its notifications may be taken without a look.
 */
export class PassedOver {
  readonly #listener: string
  readonly #keysBetween: Statement
  #passed: Passed | null = null
  #until = 0
  #isUnsettled = false

  constructor(schemaName: string, listener: string, statements: StatementOptions) {
    this.#listener = listener
    this.#keysBetween = new Statement(keysBetween(identifier(schemaName)), statements)
  }

  get current(): Passed | null {
    if (performance.now() >= this.#until) this.#passed = null
    return this.#passed
  }

  forget(): void {
    this.#passed = null
    this.#until = 0
  }

  /** Whether more could be passed over, were it settled. */
  get isUnsettled(): boolean {
    return this.#isUnsettled
  }

  /** A claim behind what is passed over took all up to `next` that is of none of its keys: the next one can begin there. */
  goOn(next: bigint, settled: bigint): void {
    if (!this.#passed) return
    const upTo = this.#settledBelow(next, this.#passed.upTo, settled)
    if (upTo > this.#passed.upTo) this.#passed = { ...this.#passed, upTo }
  }

  /** Everything ready from the id `lowest` on, below `next`, could not be taken just now. */
  async remember(db: Queryable, lowest: bigint, next: bigint, settled: bigint): Promise<void> {
    const now = performance.now()
    const upTo = this.#settledBelow(next, lowest, settled)
    if (upTo - lowest < worthIds || now < this.#until) return
    this.#until = now + unseenMs
    const { rows } = await this.#keysBetween.run(db, [this.#listener, lowest, upTo])
    const { keys, count } = rows[0]
    this.#passed = count > 0 && count <= mostKeys ? { upTo, keys: keys.split(',') } : null
  }

  #settledBelow(next: bigint, lowest: bigint, settled: bigint): bigint {
    const upTo = settled < next - 1n ? settled : next - 1n
    this.#isUnsettled = next - lowest >= worthIds && next - upTo > worthIds
    return upTo
  }
}
