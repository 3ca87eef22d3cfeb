import type { MayCarry, Queryable } from '../database.js'
import { mostDelayMs, type RetryMoment } from '../handler-errors.js'
import type { ConsumeOptions, Listener } from '../listener.js'
import { identifier, numbersText } from '../quote.js'
import type { Failure } from './attempt.js'
import type { Claimed } from './claim.js'
import { Statement, type StatementOptions } from './statement.js'

/** Where the notifications of a batch are, and whose they are: the same for all of them. */
export interface Place {
  /** They were put off before, or are leased. With it every statement goes straight through the primary key. */
  readonly waiting: boolean
  /** The lease by which they are held; null: by the locks of the transaction. */
  readonly lease: string | null
}

// What is held by a lease may be another worker's by now, and is not touched then.
const held = /* sql */ `n.listener = $1 and n.waiting = $2 and ($4::uuid is null or n.lease = $4)`

// what the transaction holds by its locks nobody else can have deleted: there is nothing to tell
const deleteLocked = (schema: string) => /* sql */ `
  delete from ${schema}.notification n
  where n.listener = $1 and n.waiting = $2 and n.id = any ($3::bigint[])
`

const deleteLeased = (schema: string) => /* sql */ `
  with gone as (
    delete from ${schema}.notification n
    where ${held} and n.id = any ($3::bigint[])
    returning n.id
  )
  select pg_catalog.string_agg(g.id::text, ',') as ids from gone g
`

// clock_timestamp: now() is when the batch began; asked once, so that a list that has failed comes again together. A delay
// counts by the server's clock, a point in time is one.
const putOff = (schema: string) => /* sql */ `
  update ${schema}.notification n
  set attempts = n.attempts + f.counts, waiting = true, waiting_key = n.key, alone = coalesce(f.alone, n.alone), lease = null,
    last_error = coalesce(f.error, n.last_error),
    run_at = coalesce(to_timestamp(f.at / 1000::float8), (select clock_timestamp()) + f.delay * interval '1 millisecond')
  from unnest($3::bigint[], $5::float8[], $6::float8[], $7::int[], $8::boolean[], $9::text[])
    as f (id, at, delay, counts, alone, error)
  where ${held} and n.id = any ($3::bigint[]) and n.id = f.id
  returning n.id::text as ids
`

const bury = (schema: string) => /* sql */ `
  with dead as (
    delete from ${schema}.notification n
    where ${held} and n.id = any ($3::bigint[])
    returning n.*
  ), buried as (
    insert into ${schema}.dead_letter (id, listener, operation, key, old, new, changed, version, context, attempts, last_error, created_at)
    select d.id, d.listener, d.operation, d.key, d.old, d.new, d.changed, d.version, d.context, d.attempts + 1, f.error, d.created_at
    from dead d join unnest($3::bigint[], $5::text[]) as f (id, error) using (id)
  )
  select d.id::text as ids from dead d
`

/** A notification that is stored again, for a later attempt. */
interface PutOff {
  readonly id: bigint
  readonly moment: RetryMoment
  /** Whether this attempt counts. */
  readonly counts: boolean
  /** Whether it is handled alone from now on; null: as it was. */
  readonly alone: boolean | null
  /** Null: as it was. */
  readonly error: string | null
}

const atOnce: RetryMoment = { at: null, afterMs: 0 }

/** What became of failures. */
export interface Settled {
  /** Those that have become dead letters. */
  readonly dead: readonly Failure[]
  /** Those that were another worker's already, so that nothing was written. */
  readonly lost: readonly Claimed[]
}

/** Writes what became of notifications. */
export class Settler {
  readonly #deleteLocked: Statement
  readonly #deleteLeased: Statement
  readonly #putOff: Statement
  readonly #bury: Statement
  readonly #listener: string
  readonly #consume: ConsumeOptions

  constructor(schemaName: string, { definition, consume }: Listener, statements: StatementOptions) {
    const schema = identifier(schemaName)
    this.#listener = definition.name
    this.#deleteLocked = new Statement(deleteLocked(schema), statements)
    this.#deleteLeased = new Statement(deleteLeased(schema), statements)
    this.#putOff = new Statement(putOff(schema), statements)
    this.#bury = new Statement(bury(schema), statements)
    this.#consume = consume
  }

  /** Deletes them. @returns those that were another worker's already */
  async done(db: Queryable & MayCarry, place: Place, notifications: readonly Claimed[]): Promise<Claimed[]> {
    if (notifications.length === 0) return []
    if (place.lease === null) {
      await this.#deleteLocked.carry(db, [this.#listener, place.waiting, idsOf(notifications)])
      return []
    }
    const gone = await this.#run(this.#deleteLeased, db, place, notifications, [])
    return gone.size === notifications.length ? [] : notifications.filter(({ id }) => !gone.has(String(id)))
  }

  /** Puts them off, or makes them dead letters after their last attempt. */
  async failed(db: Queryable, place: Place, failures: readonly Failure[]): Promise<Settled> {
    const dead = failures.filter((failure) => this.#isLast(failure))
    const retried = failures.filter((failure) => !this.#isLast(failure))
    const later = retried.map((failure) => ({
      id: failure.notification.id,
      moment: this.#nextAttempt(failure),
      counts: true,
      alone: failure.verdict.kind === 'interrupted',
      error: errorText(failure),
    }))
    const written = await this.#putAllOff(db, place, later)
    for (const id of await this.#buryAll(db, place, dead)) written.add(id)
    return { dead, lost: failures.map(({ notification }) => notification).filter(({ id }) => !written.has(String(id))) }
  }

  /** Stores them as they were, to be handled at once; alone, where they may have killed a worker. */
  async handBack(db: Queryable, place: Place, notifications: readonly Claimed[], alone: true | null): Promise<void> {
    const back = notifications.map(({ id }) => ({ id, moment: atOnce, counts: false, alone, error: null }))
    await this.#putAllOff(db, place, back)
  }

  async #putAllOff(db: Queryable, place: Place, list: readonly PutOff[]): Promise<Set<string>> {
    if (list.length === 0) return new Set()
    return this.#run(this.#putOff, db, place, list, [
      list.map(({ moment }) => moment.at),
      list.map(({ moment }) => moment.afterMs),
      list.map(({ counts }) => Number(counts)),
      list.map(({ alone }) => alone),
      list.map(({ error }) => error),
    ])
  }

  async #buryAll(db: Queryable, place: Place, dead: readonly Failure[]): Promise<Set<string>> {
    if (dead.length === 0) return new Set()
    const notifications = dead.map(({ notification }) => notification)
    return this.#run(this.#bury, db, place, notifications, [dead.map(errorText)])
  }

  async #run(
    statement: Statement,
    db: Queryable,
    { waiting, lease }: Place,
    notifications: readonly { readonly id: bigint }[],
    values: unknown[],
  ): Promise<Set<string>> {
    const { rows } = await statement.run(db, [this.#listener, waiting, idsOf(notifications), lease, ...values])
    return new Set(rows.flatMap((row) => row.ids?.split(',') ?? []))
  }

  #isLast({ notification, verdict }: Failure): boolean {
    return verdict.kind === 'bury' || notification.attempts + 1 >= this.#consume.attempts
  }

  #nextAttempt({ notification, verdict }: Failure): RetryMoment {
    if (verdict.kind === 'retryAt') return verdict.moment
    // a lease has lasted long enough
    if (verdict.kind === 'interrupted' && !notification.alone) return atOnce
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

const idsOf = (notifications: readonly { readonly id: bigint }[]) => numbersText(notifications.map(({ id }) => id))

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
