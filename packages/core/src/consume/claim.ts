import type { Queryable, ResultRow } from '../database.js'
import type { OrderMode } from '../listener.js'
import { identifier } from '../quote.js'
import { packed, packedNothing, packedWaiting, raw, rawWaiting, unpack } from './pack.js'
import { Statement, type StatementOptions } from './statement.js'

/** A claimed notification, as stored. `old` and `new` are JSON text. */
export interface Claimed {
  readonly id: bigint
  /** Changes of one key are handled one after another; null: in any order. */
  readonly key: string | null
  readonly operation: string
  readonly old: string | null
  readonly new: string | null
  readonly changed: readonly string[] | null
  readonly context: string
  /** Failed attempts so far. */
  readonly attempts: number
  readonly createdAt: Date
  /** It was in flight when its worker died, and is handled alone. */
  readonly alone: boolean
  /** Whose lease on it has lapsed. */
  readonly lease: string | null
  /** The transaction that had locked it before, by its 32-bit id; null where none had. */
  readonly lockedBefore: string | null
}

export interface Claim {
  readonly claimed: readonly Claimed[]
  /** Keys whose next change is locked by another worker. */
  readonly blockedKeys: readonly string[]
  /** The lowest ready id above where the claim began, whether it could be taken or not; null where it found none. */
  readonly lowestId: bigint | null
  /** The highest id that the claim looked at, null where it found none. */
  readonly highestId: bigint | null
  /** Whether it looked at as many as it might: there may be more behind. */
  readonly full: boolean
}

// A locked row keeps the id of the transaction that locked it, also when that has ended. To be read before one's own lock.
const lockedBefore = /* sql */ `nullif(n.xmax::text, '0') as locked_before`

const lowestReady = (schema: string) => /* sql */ `
    select n.id from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2
    order by n.id limit 1
  `

/** One row about the page itself, beside those of {@link packed}. */
const summary = (schema: string, blocked: string) => /* sql */ `
  union all
  select ${packedNothing}, pg_catalog.max(p.id)::text, pg_catalog.count(*)::int, ${blocked}, (${lowestReady(schema)})::text
  from page p
`
const noSummary = 'null::text as highest, null::int as looked, null::text as blocked, null::text as lowest'

/**
 * One half of the keys, or all of them: what two claims of one worker at a time do not take from each other. What has no
 * key is in any order, and halved by its id.
 */
export type Half = 0 | 1 | null

// Ids of a listener may be all odd, where another one listens to the same table: so they are halved in blocks.
const isOfHalf = /* sql */ `($4::bigint is null or coalesce(n.key, n.id / 64::bigint) & 1::bigint = $4)`

/**
 * Claims fresh notifications in the order of their ids. `$1` listener, `$2` above which id, `$3` limit, `$4` half.
 *
 * No order is kept: each one is locked for itself.
 */
const claimAny = (schema: string) => /* sql */ `
  with page as materialized (
    select ${raw}, ${lockedBefore}
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id > $2 and ${isOfHalf}
    order by n.id
    limit $3
    for update skip locked
  )
  ${packed('true', noSummary)}
  ${summary(schema, `''`)}
`

/** Of the key of `n`. Where nothing waits at all, that is asked once. */
const nothingWaits = (schema: string) => /* sql */ `(
  (select not exists (select from ${schema}.notification w where w.listener = $1 and w.run_at is not null))
  or not exists (select from ${schema}.notification w where w.listener = $1 and w.waiting_key = n.key offset 0)
)`

/**
 * Claims fresh notifications in the order of each row where nothing is in the way: none of their keys waits, nobody has
 * ever locked one of the oldest, and all of them can be locked now. Then they are the oldest of their keys without more ado. Else
 * nothing is claimed, and `looked` is null. `$1` listener, `$2` above which id, `$3` limit, `$4` half, `$5` keys to leave
 * out.
 *
 * One that was locked before may tell of a worker that has died, and a lock in vain would write over it.
 *
 * A half may have nothing: so no more than three times the limit is looked at for it.
 */
const claimOldest = (schema: string) => {
  const ready = /* sql */ `n.listener = $1 and not n.waiting and n.id > $2
    and coalesce(n.key, n.id) not in (select pg_catalog.unnest($5::bigint[]))`
  return /* sql */ `
    with oldest as materialized (
      select pg_catalog.max(o.id) as highest, pg_catalog.count(*) as looked,
        coalesce(pg_catalog.bool_and(o.is_clear), true) as is_clear
      from (
        select n.id, n.xmax = '0'::xid and ${nothingWaits(schema)} as is_clear
        from (
          select n.id, n.key, n.xmax
          from ${schema}.notification n
          where ${ready}
          order by n.id
          limit case when $4::bigint is null then $3::bigint else $3::bigint * 3::bigint end
        ) n
        where ${isOfHalf}
        limit $3
      ) o
    ), page as materialized (
      select ${raw}, null::text as locked_before
      from ${schema}.notification n
      where ${ready} and n.id <= (select o.highest from oldest o where o.is_clear) and ${isOfHalf}
      order by n.id
      for update skip locked
    ), taken as materialized (
      select o.highest, o.looked, o.is_clear and o.looked = (select pg_catalog.count(*) from page) as is_clear
      from oldest o
    )
    ${packed('(select t.is_clear from taken t)', noSummary)}
    union all
    select ${packedNothing}, t.highest::text, case when t.is_clear then t.looked end::int, '', (${lowestReady(schema)})::text
    from taken t
  `
}

const differ = (one: string, other: string) =>
  `(select pg_catalog.count(*) from ${one}) <> (select pg_catalog.count(*) from ${other})`

/**
 * The same, `$5` keys known to be blocked, `$6` how many to look at, in the order of each row.
 *
 * The lock on the oldest notification of a key is the lock on the key. Writers of one row queue on that row's lock, so
 * whoever sees a notification sees all older ones of its key: the oldest is the same for everyone, and only who locks it
 * may take the ones behind it. A key whose oldest notification waits for its retry is left alone.
 *
 * Not all writers of a key do queue: where a table has no key or shares it with heirs, and before an insert, an older
 * notification may appear while a younger one is being handled. So the ones behind the oldest are locked as well, and
 * the key is taken only where all of them could be.
 *
 *   page: the next ready ones ─► head: the oldest of each key, as far as they can be locked
 *                             ─► wanted: those behind them, up to the limit ─► behind: as far as they can be locked
 *                             ─► broken: keys of which something wanted could not be ─► untaken: the rest of the page
 *
 * A half may have nothing: so no more than three times as many are looked at for it.
 *
 * In most pages every key is there once, and none is with another worker: then the counts say so, and the joins that look
 * for what is behind and what is not taken are not made.
 */
const claimByRow = (schema: string) => /* sql */ `
  with page as materialized (
    select *
    from (
      select ${raw}, coalesce(n.key, n.id) as lane, ${lockedBefore}
      from ${schema}.notification n
      where n.listener = $1 and not n.waiting and n.id > $2
        and coalesce(n.key, n.id) not in (select pg_catalog.unnest($5::bigint[]))
        and ${nothingWaits(schema)}
      order by n.id
      limit case when $4::bigint is null then $6::bigint else $6::bigint * 3::bigint end
    ) n
    where ${isOfHalf}
    limit $6
  ), head as materialized (
    select n.id, coalesce(n.key, n.id) as lane
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting
      and n.id = any (array(select pg_catalog.min(p.id) from page p group by p.lane))
    order by n.id
    limit $3
    for update skip locked
  ), wanted as materialized (
    select p.id, p.lane
    from page p join head h on h.lane = p.lane and h.id <> p.id
    where ${differ('page', 'head')}
    order by p.id
    limit $3::bigint - (select pg_catalog.count(*) from head)
  ), behind as materialized (
    select n.id
    from ${schema}.notification n
    where n.listener = $1 and not n.waiting and n.id = any (array(select w.id from wanted w))
    for update skip locked
  ), broken as materialized (
    select w.lane
    from wanted w left join behind b on b.id = w.id
    where b.id is null and ${differ('wanted', 'behind')}
  ), locked as materialized (
    select h.id from head h union all select b.id from behind b
  ), untaken as materialized (
    select p.id
    from page p left join locked l on l.id = p.id
    where (l.id is null or p.lane in (select b.lane from broken b)) and ${differ('page', 'locked')}
  ), blocked as materialized (
    select o.lane
    from (select p.lane, pg_catalog.min(p.id) as id from page p where ${differ('page', 'locked')} group by p.lane) o
    where o.id not in (select h.id from head h)
      -- all before the last one that was locked were tried; where fewer were locked than might be, all were
      and ((select pg_catalog.count(*) from head) < $3::bigint or o.id < (select pg_catalog.max(h.id) from head h))
    union
    select b.lane from broken b
  )
  ${packed('p.id not in (select u.id from untaken u)', noSummary)}
  ${summary(schema, "coalesce((select pg_catalog.string_agg(b.lane::text, ',') from blocked b), '')")}
`

/**
 * Which of the keys `$4` have an older notification than a claim above `$3` could see: one with an id above `$2` that
 * was not there for an earlier page, or that was hidden from it because the key's oldest waited for its retry.
 */
const olderOf = (schema: string) => /* sql */ `
  select n.key::text as key
  from ${schema}.notification n
  where n.listener = $1 and not n.waiting and n.id > $2 and n.id <= $3 and n.key = any ($4::bigint[])
  union
  select w.waiting_key::text
  from ${schema}.notification w
  where w.listener = $1 and w.waiting_key = any ($4::bigint[])
`

/**
 * Claims notifications whose retry is due, or whose lease has lapsed. `$1` listener, `$2` limit, `$3` those to be handled
 * alone, or the others. Of a key only the oldest can have failed, but where a listener became ordered later, or dead
 * letters are retried, there may be more: then the oldest comes first.
 */
const claimDue = (schema: string) => /* sql */ `
  with page as materialized (
    select ${rawWaiting}, ${lockedBefore}
    from ${schema}.notification n
    where n.listener = $1 and n.run_at <= now() and n.alone = $3
      and not exists (
        select from ${schema}.notification w
        where w.listener = $1 and w.waiting_key = n.waiting_key and w.id < n.id
        offset 0
      )
    order by n.run_at
    limit $2
    for update skip locked
  )
  ${packedWaiting}
`

export interface ClaimOptions {
  readonly half?: Half
  /** Keys that are known to be blocked. */
  readonly blocked?: readonly string[]
  /** Among how many it may look for those that can be taken, where it has to look for them. */
  readonly look?: number
}

/** The statements that take notifications for one listener, in the transaction of the caller. */
export class Claimer {
  readonly #listener: string
  readonly #order: OrderMode
  readonly #fresh: Statement
  readonly #oldest: Statement
  readonly #due: Statement
  readonly #olderOf: Statement

  constructor(schemaName: string, listener: string, order: OrderMode, statements: StatementOptions) {
    const schema = identifier(schemaName)
    this.#listener = listener
    this.#order = order
    this.#fresh = new Statement(order === 'row' ? claimByRow(schema) : claimAny(schema), statements)
    this.#oldest = new Statement(claimOldest(schema), statements)
    this.#due = new Statement(claimDue(schema), statements)
    this.#olderOf = new Statement(olderOf(schema), statements)
  }

  /** In the order of each row: the oldest, where nothing is in their way; null where something is. */
  async oldest(
    db: Queryable,
    above: bigint,
    limit: number,
    half: Half,
    blocked: readonly string[],
  ): Promise<Claim | null> {
    const { rows } = await this.#oldest.run(db, [this.#listener, above, limit, half, blocked])
    const claim = toClaim(rows)
    return claim && { ...claim, full: mayHaveMore(claim, limit, half) }
  }

  async fresh(
    db: Queryable,
    above: bigint,
    limit: number,
    { half = null, blocked = [], look = limit }: ClaimOptions = {},
  ): Promise<Claim> {
    const values: unknown[] = [this.#listener, above, limit, half]
    if (this.#order === 'row') values.push(blocked, look)
    const { rows } = await this.#fresh.run(db, values)
    const claim = toClaim(rows) as Looked
    const most = this.#order === 'row' ? look : limit
    return { ...claim, full: mayHaveMore(claim, most, half) || claim.claimed.length >= limit }
  }

  /** Leaves out of a later page's claim the keys that have something older, which an earlier page did not see. */
  async withoutOvertaking(
    db: Queryable,
    start: bigint,
    above: bigint,
    claimed: readonly Claimed[],
  ): Promise<Claimed[]> {
    const keys = [...new Set(claimed.map(({ key }) => key))].filter((key) => key !== null)
    if (keys.length === 0) return [...claimed]
    const { rows } = await this.#olderOf.run(db, [this.#listener, start, above, keys])
    const older = new Set(rows.map((row) => row.key as string))
    return claimed.filter(({ key }) => key === null || !older.has(key))
  }

  /** Those to be handled alone are claimed one at a time, when no other is due. */
  async due(db: Queryable, limit: number): Promise<Claimed[]> {
    const { rows } = await this.#due.run(db, [this.#listener, limit, false])
    if (rows.length > 0) return unpack(rows)
    const alone = await this.#due.run(db, [this.#listener, 1, true])
    return unpack(alone.rows)
  }
}

/** A claim, and how many it looked at. */
type Looked = Omit<Claim, 'full'> & { readonly looked: number }

// of a half that is ahead of the other, not all that are allowed are found among those that are looked at
const mayHaveMore = ({ looked }: Looked, most: number, half: Half) => looked >= (half === null ? most : most / 2)

function toClaim(rows: readonly ResultRow[]): Looked | null {
  // the one about the page itself
  const page = rows.find(({ blocked }) => blocked !== null)
  if (page.looked === null) return null
  return {
    claimed: unpack(rows.filter((row) => row !== page)),
    blockedKeys: page.blocked === '' ? [] : page.blocked.split(','),
    lowestId: page.lowest && BigInt(page.lowest),
    highestId: page.highest && BigInt(page.highest),
    looked: Number(page.looked),
  }
}
