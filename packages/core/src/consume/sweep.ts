import type { Queryable } from '../database.js'
import { identifier } from '../quote.js'
import { Statement, type StatementOptions } from './statement.js'

// how long the server took, whatever lies between it and here
const readyBetween = (schema: string) => /* sql */ `
  select r.found, (extract(epoch from clock_timestamp() - statement_timestamp()) * 1000::numeric)::float8 as milliseconds
  from (
    select exists (
      select from ${schema}.notification n where n.listener = $1 and not n.waiting and n.id > $2 and n.id <= $3
    ) as found
    offset 0
  ) r`

/** After so many milliseconds of the server's time a pause is made. */
const longMs = 4
/** How many ids are looked at first, and how many times more after a part that took less than a quarter of that time. */
const firstIds = 16_384n
const growth = 16n
/** It takes no more than this part of the time. */
const oneIn = 100

/**
 * Looks now and then whether something is ready below where claims begin, where nothing should be.
 *
 * Where vacuum is held back that means to read over all that is dead, which may be millions: so it is done part by part, from the
 * top down, with pauses in between. Where nothing is dead, the whole way down takes a few steps of growing size.
 */
export class Sweep {
  readonly #listener: string
  readonly #everyMs: number
  readonly #readyBetween: Statement
  readonly #now: () => number
  /** Up to which id is still to be looked at; null where the last round is over. */
  #left: bigint | null = null
  #nextAt = Number.NEGATIVE_INFINITY

  /**
   * @param everyMs milliseconds between two rounds
   * @param now milliseconds since some moment
   */
  constructor(
    schemaName: string,
    listener: string,
    everyMs: number,
    statements: StatementOptions,
    now = () => performance.now(),
  ) {
    this.#listener = listener
    this.#everyMs = everyMs
    this.#readyBetween = new Statement(readyBetween(identifier(schemaName)), statements)
    this.#now = now
  }

  get isDue(): boolean {
    return this.#now() >= this.#nextAt
  }

  /** Goes on with its round. @returns whether something was found: then claims have to begin at the head */
  async goOn(db: Queryable, start: bigint): Promise<boolean> {
    let left = this.#left === null || this.#left > start ? start : this.#left
    let isFound = false
    let took = 0
    for (let ids = firstIds; left > 0n && !isFound && took < longMs; ) {
      const above = left > ids ? left - ids : 0n
      const { rows } = await this.#readyBetween.run(db, [this.#listener, above, left])
      const { found, milliseconds } = rows[0]
      isFound = found
      took += milliseconds
      left = above
      if (milliseconds < longMs / 4) ids *= growth
    }
    const isOver = isFound || left === 0n
    this.#left = isOver ? null : left
    this.#nextAt = this.#now() + Math.max(isOver ? this.#everyMs : 0, took * oneIn)
    return isFound
  }
}
