import type { Queryable } from '../database.js'
import { mostDelayMs, type RetryMoment } from '../handler-errors.js'
import type { ConsumeOptions, Listener } from '../listener.js'
import { identifier } from '../quote.js'
import type { Claimed } from './claim.js'
import type { Failure } from './dispatch.js'
import { Statement } from './statement.js'

// A batch is either of fresh notifications or of due ones, so `waiting` is the same for all: with it every statement
// goes straight through the primary key.

const deleteDone = (schema: string) => /* sql */ `
  delete from ${schema}.notification n
  where n.listener = $1 and n.waiting = $2 and n.id = any ($3::bigint[])
`

// clock_timestamp: now() is when the batch began. A delay counts by the server's clock, a point in time is one.
const retryLater = (schema: string) => /* sql */ `
  update ${schema}.notification n
  set attempts = n.attempts + 1, waiting = true, waiting_key = n.key, last_error = f.error,
    run_at = coalesce(to_timestamp(f.at / 1000), clock_timestamp() + f.delay * interval '1 millisecond')
  from unnest($3::bigint[], $4::float8[], $5::float8[], $6::text[]) as f (id, at, delay, error)
  where n.listener = $1 and n.waiting = $2 and n.id = f.id
`

const bury = (schema: string) => /* sql */ `
  with dead as (
    delete from ${schema}.notification n
    where n.listener = $1 and n.waiting = $2 and n.id = any ($3::bigint[])
    returning n.*
  )
  insert into ${schema}.dead_letter (id, listener, operation, key, old, new, changed, context, attempts, last_error, created_at)
  select d.id, d.listener, d.operation, d.key, d.old, d.new, d.changed, d.context, d.attempts + 1, f.error, d.created_at
  from dead d join unnest($3::bigint[], $4::text[]) as f (id, error) using (id)
`

/** Writes the outcome of a batch, in the transaction that claimed it. */
export class Settler {
  readonly #deleteDone: Statement
  readonly #retryLater: Statement
  readonly #bury: Statement
  readonly #listener: string
  readonly #consume: ConsumeOptions

  constructor(schemaName: string, { definition, consume }: Listener, prepared: boolean) {
    const schema = identifier(schemaName)
    this.#listener = definition.name
    this.#deleteDone = new Statement(deleteDone(schema), prepared)
    this.#retryLater = new Statement(retryLater(schema), prepared)
    this.#bury = new Statement(bury(schema), prepared)
    this.#consume = consume
  }

  async done(db: Queryable, waiting: boolean, notifications: readonly Claimed[]): Promise<void> {
    if (notifications.length === 0) return
    await this.#deleteDone.run(db, [this.#listener, waiting, notifications.map(({ id }) => id)])
  }

  /** @returns which of the failures have become dead letters. */
  async failed(db: Queryable, waiting: boolean, failures: readonly Failure[]): Promise<Failure[]> {
    const isLast = ({ notification, verdict }: Failure) =>
      verdict.kind === 'bury' || notification.attempts + 1 >= this.#consume.attempts
    const dead = failures.filter(isLast)
    const retried = failures.filter((failure) => !isLast(failure))
    if (retried.length > 0) await this.#putOff(db, waiting, retried)
    if (dead.length > 0) await this.#bury.run(db, [this.#listener, waiting, idsOf(dead), dead.map(errorText)])
    return dead
  }

  async #putOff(db: Queryable, waiting: boolean, failures: readonly Failure[]): Promise<void> {
    const moments = failures.map((failure) => this.#nextAttempt(failure))
    const at = moments.map((moment) => moment.at)
    const delays = moments.map((moment) => moment.afterMs)
    await this.#retryLater.run(db, [this.#listener, waiting, idsOf(failures), at, delays, failures.map(errorText)])
  }

  #nextAttempt({ notification, verdict }: Failure): RetryMoment {
    if (verdict.kind === 'retryAt') return verdict.moment
    return { at: null, afterMs: this.#delay(notification.attempts + 1) }
  }

  /** A backoff that throws or gives no usable number must not stop the queue: then one minute. */
  #delay(attempt: number): number {
    try {
      const delay = this.#consume.backoff(attempt)
      if (delay >= 0 && Number.isFinite(delay)) return Math.min(delay, mostDelayMs)
    } catch {
      // the handler's own error is what gets reported
    }
    return 60_000
  }
}

const idsOf = (failures: readonly Failure[]) => failures.map(({ notification }) => notification.id)

/** What is kept of an error: its stack, which has the message in it, without what PostgreSQL cannot store. */
function errorText({ error }: Failure): string {
  return textOf(error).replaceAll('\0', '').slice(0, 10_000)
}

// what was thrown may be anything, and reading it may throw again
function textOf(error: unknown): string {
  try {
    if (error instanceof Error) return String(error.stack || error)
    return `Thrown: ${typeof error === 'object' ? JSON.stringify(error) : String(error)}`
  } catch {
    return 'Thrown: a value that cannot be shown'
  }
}
