import type { ResultRow } from '../database.js'
import type { Claimed } from './claim.js'

/*
 * A notification comes back as one text, and a thousand of them as one row: rows, and columns, cost the server, the protocol
 * and the client more than what is in them. JSON has no control character in its text but white space, so what belongs
 * together is joined by ASCII's own separators.
 */

const betweenNotifications = '\x1e'
const betweenFields = '\x1f'

// What is stored outside of the row, or may become much when it is unpacked, comes in a row of its own: a list has to
// fit into one string, also where every notification holds many megabytes.
const mostBytes = 2000

/** What of a notification `page` has to have for {@link packed}. */
export const raw = /* sql */ `n.id, n.key, n.operation, n.old, n.new, n.changed, n.context, n.created_at`

/** The same for one that waited. What has never waited has not failed, and is nobody's. */
export const rawWaiting = /* sql */ `${raw}, n.attempts, n.alone, n.lease`

/** One text of a notification of `page`; concat() would take half as long again. */
const textOf = (fields: readonly string[]) => fields.join(` || E'\\x1f' || `)

/** What is null is empty. */
const nullable = (field: string) => `coalesce(${field}::text, '')`

const fields = [
  'p.id::text',
  nullable('p.key'),
  'p.operation',
  nullable('p.old'),
  nullable('p.new'),
  `case when p.changed is null then '' else pg_catalog.to_json(p.changed)::text end`,
  'p.context::text',
  `pg_catalog.date_part('epoch', p.created_at)::text`,
  nullable('p.locked_before'),
]
const fieldsWaiting = [...fields, 'p.attempts::text', 'p.alone::text', nullable('p.lease')]

const list = (of: readonly string[]) => /* sql */ `pg_catalog.string_agg(${textOf(of)}, E'\\x1e') as claimed`

// Larger ones the server would build in memory that it has to ask the kernel for, again for each claim.
const mostInList = 128

const bySize = /* sql */ `
  group by p.id / ${mostInList}::bigint, case when coalesce(pg_catalog.pg_column_size(p.old), 0) + coalesce(pg_catalog.pg_column_size(p.new), 0)
    + pg_catalog.pg_column_size(p.context) > ${mostBytes} then p.id end`

/** A column: the notification of `p`, null where there is none. */
export const single = /* sql */ `case when p.id is not null then ${textOf(fields)} end as claimed`

/** Selects the notifications of `page` that the condition lets through, in few rows, and `others` beside them. */
export const packed = (condition: string, others: string) => /* sql */ `
  select ${list(fields)}, ${others} from page p where ${condition} ${bySize}`

/** The same, of notifications that waited. */
export const packedWaiting = /* sql */ `select ${list(fieldsWaiting)} from page p ${bySize}`

/** The notifications in the column `claimed`, oldest first. */
export function unpack(rows: readonly ResultRow[]): Claimed[] {
  const lists = rows.flatMap(({ claimed }) => (claimed === null ? [] : [listIn(claimed)]))
  const claimed = lists.sort(([a], [b]) => byId(a as Claimed, b as Claimed)).flat()
  // a list goes on behind one that came in a row of its own
  return isInOrder(claimed) ? claimed : claimed.sort(byId)
}

const listIn = (text: string) => text.split(betweenNotifications).map(toClaimed)

const byId = (a: Claimed, b: Claimed) => (a.id < b.id ? -1 : 1)

function toClaimed(text: string): Claimed {
  const parts = text.split(betweenFields)
  return {
    id: BigInt(parts[0] as string),
    key: parts[1] || null,
    operation: parts[2] as string,
    old: parts[3] || null,
    new: parts[4] || null,
    changed: parts[5] ? JSON.parse(parts[5]) : null,
    context: parts[6] as string,
    createdAt: new Date(Math.floor(Math.round(Number(parts[7]) * 1_000_000) / 1000)),
    lockedBefore: parts[8] || null,
    attempts: Number(parts[9] ?? 0),
    alone: parts[10] === 'true',
    lease: parts[11] || null,
  }
}

function isInOrder(claimed: readonly Claimed[]): boolean {
  return claimed.every(({ id }, index) => index === 0 || (claimed[index - 1] as Claimed).id < id)
}
