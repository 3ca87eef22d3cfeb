import type { ResultRow } from '../database.js'
import type { Claimed } from './claim.js'

/*
 * A claim of a thousand notifications comes back as one row of lists, not as a thousand rows: a row costs the server, the
 * protocol and the client more than what is in it. JSON has no control character in its text but white space, so the
 * texts are joined by one.
 */

// What is stored outside of the row, or may become much when it is unpacked, comes in a row of its own: a list has to
// fit into one string, also where every notification holds many megabytes.
const mostBytes = 2000

/** The ASCII record separator. */
const separator = '\x1e'
const between = /* sql */ `E'\\x1e'`

/** What of a notification `page` has to have for {@link packed}. */
export const raw = /* sql */ `n.id, n.key, n.operation, n.old, n.new, n.changed, n.context, n.created_at`

/** The same for one that waited. What has never waited has not failed, and is nobody's. */
export const rawWaiting = /* sql */ `${raw}, n.attempts, n.alone, n.lease`

const listsWaiting = /* sql */ `
    pg_catalog.string_agg(p.attempts::text, ',') as attempts, pg_catalog.string_agg(p.alone::text, ',') as alone,
    pg_catalog.string_agg(coalesce(p.lease::text, ''), ',') as leases`

const lists = /* sql */ `
    pg_catalog.string_agg(p.id::text, ',') as ids, pg_catalog.string_agg(coalesce(p.key::text, ''), ',') as keys,
    pg_catalog.string_agg(p.operation, ',') as operations,
    pg_catalog.string_agg(coalesce(p.old::text, ''), ${between}) as olds,
    pg_catalog.string_agg(coalesce(p.new::text, ''), ${between}) as news,
    case when pg_catalog.count(p.changed) > 0 then pg_catalog.json_agg(p.changed)::text end as changed,
    pg_catalog.string_agg(p.context::text, ${between}) as contexts,
    pg_catalog.string_agg((pg_catalog.date_part('epoch', p.created_at) * 1000000::float8)::bigint::text, ',') as created,
    (pg_catalog.json_object_agg(p.id, p.locked_before) filter (where p.locked_before is not null))::text as locked_before`

/** The same columns of `p`, of one notification each. Null where there is none. */
export const single = /* sql */ `
    p.id::text as ids, coalesce(p.key::text, '') as keys, p.operation as operations,
    coalesce(p.old::text, '') as olds, coalesce(p.new::text, '') as news,
    case when p.changed is not null then pg_catalog.json_build_array(p.changed)::text end as changed,
    p.context::text as contexts,
    (pg_catalog.date_part('epoch', p.created_at) * 1000000::float8)::bigint::text as created,
    case when p.locked_before is not null then pg_catalog.json_build_object(p.id, p.locked_before)::text end as locked_before`

const bySize = /* sql */ `
  group by case when coalesce(pg_catalog.pg_column_size(p.old), 0) + coalesce(pg_catalog.pg_column_size(p.new), 0)
    + pg_catalog.pg_column_size(p.context) > ${mostBytes} then p.id end`

/** Selects the notifications of `page` that the condition lets through, as rows of lists, and `others` beside them. */
export const packed = (condition: string, others: string) => /* sql */ `
  select ${lists}, ${others} from page p where ${condition} ${bySize}`

/** The same, of notifications that waited. */
export const packedWaiting = /* sql */ `select ${lists}, ${listsWaiting} from page p ${bySize}`

/** In place of them, where a row tells of none. */
export const packedNothing = 'null, null, null, null, null, null, null, null, null'

/** The notifications in rows of lists, oldest first. */
export function unpack(rows: readonly ResultRow[]): Claimed[] {
  const claimed = rows.flatMap(unpackRow)
  return isInOrder(claimed) ? claimed : claimed.sort((a, b) => (a.id < b.id ? -1 : 1))
}

function unpackRow(row: ResultRow): Claimed[] {
  const list = (name: string, by: string): string[] => row[name].split(by)
  const ids = list('ids', ',')
  const keys = list('keys', ',')
  const operations = list('operations', ',')
  const olds = list('olds', separator)
  const news = list('news', separator)
  const contexts = list('contexts', separator)
  const created = list('created', ',')
  const changed = JSON.parse(row.changed)
  const lockedBefore = JSON.parse(row.locked_before)
  const waiting = row.attempts === undefined ? null : waitingOf(row)
  return ids.map((id, index) => ({
    id: BigInt(id),
    key: keys[index] || null,
    operation: operations[index] as string,
    old: olds[index] || null,
    new: news[index] || null,
    changed: changed?.[index] ?? null,
    context: contexts[index] as string,
    attempts: Number(waiting?.attempts[index] ?? 0),
    // in microseconds
    createdAt: new Date(Math.floor(Number(created[index]) / 1000)),
    alone: waiting?.alone[index] === 'true',
    lease: waiting?.leases[index] || null,
    lockedBefore: lockedBefore?.[id] ?? null,
  }))
}

function waitingOf(row: ResultRow) {
  return { attempts: row.attempts.split(','), alone: row.alone.split(','), leases: row.leases.split(',') }
}

function isInOrder(claimed: readonly Claimed[]): boolean {
  return claimed.every(({ id }, index) => index === 0 || (claimed[index - 1] as Claimed).id < id)
}
