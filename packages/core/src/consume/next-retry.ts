import type { Queryable } from '../database.js'
import { identifier } from '../quote.js'
import { containing } from './claim-parts.js'
import { Statement, type StatementOptions } from './statement.js'

// What waits behind an older notification of its key is not due before that is gone, as in the claim.
const untilNext = (schema: string, context: string | null) => /* sql */ `
  select extract(epoch from n.run_at - now()) * 1000::numeric as milliseconds
  from ${schema}.notification n
  where n.listener = $1 and n.run_at is not null${containing('n', context)}
    and not exists (
      select from ${schema}.notification w
      where w.listener = $1 and w.waiting_key = n.waiting_key and w.id < n.id
      offset 0
    )
  order by n.run_at
  limit 1
`

/** When the next retry of a listener is due, as far as this worker knows. Others may put off more. */
export class NextRetry {
  readonly #listener: string
  readonly #untilNext: Statement
  /** By this process's clock; 0: not known. */
  #at: number | null = 0

  constructor(schemaName: string, listener: string, context: string | null, statements: StatementOptions) {
    this.#listener = listener
    this.#untilNext = new Statement(untilNext(identifier(schemaName), context), statements)
  }

  get isDue(): boolean {
    return this.#at !== null && this.#at <= Date.now()
  }

  /** Milliseconds until then, null where nothing waits. */
  get until(): number | null {
    return this.#at === null ? null : Math.max(0, this.#at - Date.now())
  }

  /** Something was put off; when exactly is looked up once it is asked for. */
  unknown(): void {
    this.#at = 0
  }

  /** One is due in so many milliseconds, at the latest. */
  notLaterThan(milliseconds: number): void {
    this.#at = Math.min(this.#at ?? Number.POSITIVE_INFINITY, Date.now() + milliseconds)
  }

  /** It is with another worker: not before that many milliseconds. */
  notBefore(milliseconds: number): void {
    this.#at = Date.now() + milliseconds
  }

  async refresh(db: Queryable): Promise<void> {
    const { rows } = await this.#untilNext.run(db, [this.#listener])
    this.#at = rows[0] ? Date.now() + Math.max(0, Number(rows[0].milliseconds)) : null
  }
}
