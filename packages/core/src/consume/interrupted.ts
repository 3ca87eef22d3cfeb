import type { Queryable } from '../database.js'
import { PubSubError } from '../errors.js'
import type { Failure } from './attempt.js'
import type { Claimed } from './claim.js'
import type { Outcome } from './dispatch.js'
import type { Batch } from './fresh-claims.js'
import type { Settler } from './settle.js'
import { Statement, type StatementOptions } from './statement.js'

/** A notification that was in flight when its worker died, hung, or lost its connection. */
export interface Interrupted {
  readonly notification: Claimed
  /** It was alone in flight, or it is known to have hung: that counts as a failed attempt. */
  readonly counts: boolean
}

// Full ids from those of 32 bits: none is older than half of them. One that seems younger than the next is this
// transaction's own, which has locked something in vain before.
const abortedOf = /* sql */ `
  select t.id
  from pg_catalog.unnest($1::text[]) as t (id), (select pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next offset 0) s
  where case when ((s.next - t.id::bigint) & 4294967295) < 2147483648
    then pg_xact_status((s.next - ((s.next - t.id::bigint) & 4294967295))::text::xid8) = 'aborted' end
`

/** Whether any of them was somebody else's before: the others were not in flight. */
export const mayBeInterrupted = ({ notifications }: Batch) =>
  notifications.some(({ lease, lockedBefore }) => lease !== null || lockedBefore !== null)

/*
 * How a notification that ends processes is found, without a write before each handler. A worker's transaction leaves
 * its id on the rows that it locks. When it ends well, it has deleted or put off what it handled, and what it hands back
 * has the id of a transaction that has committed. So a notification that was locked by a transaction that was aborted was
 * in flight when its worker died.
 *
 * One of a batch may have killed the worker, and nobody knows which, or whether it was a restart of the server or a broken
 * network: so each of them is handled alone from then on, and no attempt is counted. What was handled alone when a worker
 * died is known: that attempt has failed.
 */
export class Interruptions {
  readonly #abortedOf: Statement

  constructor(statements: StatementOptions) {
    this.#abortedOf = new Statement(abortedOf, statements)
  }

  async among(db: Queryable, { notifications }: Batch): Promise<Interrupted[]> {
    const aborted = await this.#aborted(db, notifications)
    const interrupted = notifications.flatMap((notification) => {
      const { alone, lease, lockedBefore } = notification
      if (lease !== null) return [{ notification, counts: true }]
      if (lockedBefore === null || !aborted.has(lockedBefore)) return []
      return [{ notification, counts: alone }]
    })
    return [...interrupted, ...olderOfTheirRows(notifications, interrupted)]
  }

  async #aborted(db: Queryable, claimed: readonly Claimed[]): Promise<Set<string>> {
    const lockers = [...new Set(claimed.map(({ lockedBefore }) => lockedBefore))].filter((id) => id !== null)
    if (lockers.length === 0) return new Set()
    const { rows } = await this.#abortedOf.run(db, [lockers])
    return new Set(rows.map(({ id }) => id as string))
  }
}

/**
 * Another worker may have locked an older one since, and handed it back. It is set apart with them: what waits for its
 * turn alone is claimed before what is fresh, and would overtake it.
 */
function olderOfTheirRows(notifications: readonly Claimed[], interrupted: readonly Interrupted[]): Interrupted[] {
  const youngest = new Map<string, bigint>()
  const apart = new Set(interrupted.map(({ notification }) => notification.id))
  for (const { notification } of interrupted) {
    const { key, id } = notification
    if (key !== null && id > (youngest.get(key) ?? 0n)) youngest.set(key, id)
  }
  return notifications
    .filter(({ key, id }) => key !== null && !apart.has(id) && id < (youngest.get(key) ?? 0n))
    .map((notification) => ({ notification, counts: false }))
}

/** Puts them off in the transaction that claimed them; what has failed for the last time becomes a dead letter. */
export async function setApart(
  db: Queryable,
  settler: Settler,
  waiting: boolean,
  interrupted: readonly Interrupted[],
): Promise<{ outcome: Outcome; dead: readonly Failure[] }> {
  const place = { waiting, lease: null }
  const failures = interrupted
    .filter(({ counts }) => counts)
    .map(
      ({ notification }): Failure => ({
        notification,
        error: interruption(notification),
        verdict: { kind: 'interrupted' },
      }),
    )
  const others = interrupted.filter(({ counts }) => !counts).map(({ notification }) => notification)
  await settler.handBack(db, place, others, true)
  const { dead } = await settler.failed(db, place, failures)
  return { outcome: { done: [], discarded: [], failures }, dead }
}

/** What the attempt failed of, as far as anybody knows. */
function interruption({ lease }: Claimed): PubSubError {
  if (lease !== null) {
    return new PubSubError(
      'PGPUBSUB_LEASE_LOST',
      'The lease lapsed while the handler ran: its worker hung, died, or could not reach the server.',
    )
  }
  return new PubSubError(
    'PGPUBSUB_WORKER_DIED',
    'The worker died while the handler ran, or its connection was lost: a handler that ends its process does that, or one that uses up its memory.',
  )
}
