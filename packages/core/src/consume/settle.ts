import type { Queryable } from '../database.js'
import type { ConsumeOptions } from '../listener.js'
import { identifier } from '../quote.js'
import type { Claimed } from './claim.js'

/** A notification whose handler failed. */
export interface Failure {
  readonly notification: Claimed
  readonly error: unknown
}

const deleteDone = (schema: string) => /* sql */ `
  delete from ${schema}.notification where id = any ($1::bigint[])
`

const retryLater = (schema: string) => /* sql */ `
  update ${schema}.notification n
  set attempts = n.attempts + 1, run_at = now() + f.delay * interval '1 millisecond', last_error = f.error
  from unnest($1::bigint[], $2::float8[], $3::text[]) as f (id, delay, error)
  where n.id = f.id
`

const bury = (schema: string) => /* sql */ `
  with dead as (
    delete from ${schema}.notification n where n.id = any ($1::bigint[])
    returning n.*
  )
  insert into ${schema}.dead_letter (id, listener, operation, key, old, new, changed, context, attempts, last_error, created_at)
  select d.id, d.listener, d.operation, d.key, d.old, d.new, d.changed, d.context, d.attempts + 1, f.error, d.created_at
  from dead d join unnest($1::bigint[], $2::text[]) as f (id, error) using (id)
`

/** Writes the outcome of a batch, in the transaction that claimed it. */
export class Settler {
  readonly #deleteDone: string
  readonly #retryLater: string
  readonly #bury: string
  readonly #consume: ConsumeOptions

  constructor(schemaName: string, consume: ConsumeOptions) {
    const schema = identifier(schemaName)
    this.#deleteDone = deleteDone(schema)
    this.#retryLater = retryLater(schema)
    this.#bury = bury(schema)
    this.#consume = consume
  }

  async done(db: Queryable, notifications: readonly Claimed[]): Promise<void> {
    if (notifications.length === 0) return
    await db.query(this.#deleteDone, [notifications.map((notification) => notification.id)])
  }

  /** @returns which of the failures have become dead letters. */
  async failed(db: Queryable, failures: readonly Failure[]): Promise<Failure[]> {
    const isLast = ({ notification }: Failure) => notification.attempts + 1 >= this.#consume.attempts
    const dead = failures.filter(isLast)
    const retried = failures.filter((failure) => !isLast(failure))
    if (retried.length > 0) {
      const delays = retried.map(({ notification }) => this.#delay(notification.attempts + 1))
      await db.query(this.#retryLater, [idsOf(retried), delays, retried.map(errorText)])
    }
    if (dead.length > 0) await db.query(this.#bury, [idsOf(dead), dead.map(errorText)])
    return dead
  }

  /** A backoff that throws or gives no usable number must not stop the queue: then one minute. */
  #delay(attempt: number): number {
    try {
      const delay = this.#consume.backoff(attempt)
      if (delay >= 0 && delay <= mostDelay) return delay
    } catch {
      // the handler's own error is what gets reported
    }
    return 60_000
  }
}

const mostDelay = 365 * 86_400_000

const idsOf = (failures: readonly Failure[]) => failures.map(({ notification }) => notification.id)

/** What is kept of an error: its stack, which has the message in it, without what PostgreSQL cannot store. */
function errorText({ error }: Failure): string {
  const text = error instanceof Error ? (error.stack ?? String(error)) : `Thrown: ${safeString(error)}`
  return text.replaceAll('\0', '').slice(0, 10_000)
}

function safeString(value: unknown): string {
  try {
    return typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value))
  } catch {
    return 'a value that cannot be shown'
  }
}
