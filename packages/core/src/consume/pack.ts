import type { ResultRow } from '../database.js'
import type { Claimed } from './claim.js'

/*
 * Notifications come back as texts of many: rows cost the server, the protocol and the client more than what is in them, and
 * so does each field that is joined to another. So each column of an answer is that of many notifications, joined by one of
 * ASCII's own separators: JSON has no control character in its text but white space.
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

/** What is null is empty. */
const nullable = (field: string) => `coalesce(${field}::text, '')`

const joined = (fields: readonly string[]) => fields.join(` || E'\\x1f' || `)

const seldom = [
  'p.context::text',
  `case when p.changed is null then '' else pg_catalog.to_json(p.changed)::text end`,
  nullable('p.locked_before'),
]
const hasSeldom = `(p.context operator(pg_catalog.<>) '{}' or p.changed is not null or p.locked_before is not null)`
const ofWaiting = ['p.attempts::text', 'p.alone::text', nullable('p.lease')]

/** The columns of an answer, as SQL of what each of them has of a notification of `page`. */
const columns = {
  ids: 'p.id::text',
  keys: nullable('p.key'),
  operations: 'p.operation',
  // seconds
  times: `pg_catalog.date_part('epoch', p.created_at)::text`,
  olds: nullable('p.old'),
  news: nullable('p.new'),
  /** Empty where there is nothing of it. */
  rests: `case when ${hasSeldom} then ${joined(seldom)} else '' end`,
}
const columnsWaiting: typeof columns = { ...columns, rests: joined([...seldom, ...ofWaiting]) }

type Column = keyof typeof columns

const selected = (of: typeof columns, select: (text: string) => string) =>
  Object.entries(of)
    .map(([name, text]) => `${select(text)} as ${name}`)
    .join(', ')

const lists = (of: typeof columns) => selected(of, (text) => `pg_catalog.string_agg(${text}, E'\\x1e')`)

// Larger ones the server would build in memory that it has to ask the kernel for, again for each claim.
const mostInList = 128

const bySize = /* sql */ `
  group by p.id / ${mostInList}::bigint, case when coalesce(pg_catalog.pg_column_size(p.old), 0) + coalesce(pg_catalog.pg_column_size(p.new), 0)
    + pg_catalog.pg_column_size(p.context) > ${mostBytes} then p.id end`

/** Columns: the notification of `p`; without ids where there is none. */
export const single = selected(columns, (text) => text)

/** The same columns, of none. */
export const none = selected(columns, () => 'null')

/** Selects the notifications of `page` that the condition lets through, in few rows, and `others` beside them. */
export const packed = (condition: string, others: string) => /* sql */ `
  select ${lists(columns)}, ${others} from page p where ${condition} ${bySize}`

/** The same, of notifications that waited. */
export const packedWaiting = /* sql */ `select ${lists(columnsWaiting)} from page p ${bySize}`

/** The notifications of an answer, oldest first. */
export function unpack(rows: readonly ResultRow[]): Claimed[] {
  const each = rows.filter(({ ids }) => ids !== null).map((row) => unpackRow(row as Record<Column, string>))
  const claimed = each.sort(([a], [b]) => byId(a as Claimed, b as Claimed)).flat()
  // a list goes on behind one that came in a row of its own
  return isInOrder(claimed) ? claimed : claimed.sort(byId)
}

const byId = (a: Claimed, b: Claimed) => (a.id < b.id ? -1 : 1)

function unpackRow(row: Record<Column, string>): Claimed[] {
  const list = (column: Column) => row[column].split(betweenNotifications)
  const [keys, operations, times] = [list('keys'), list('operations'), list('times')]
  const [olds, news, rests] = [list('olds'), list('news'), list('rests')]
  return list('ids').map((id, index) => ({
    id: BigInt(id),
    key: keys[index] || null,
    operation: operations[index] as string,
    old: olds[index] || null,
    new: news[index] || null,
    createdAt: new Date(Math.floor(Math.round(Number(times[index]) * 1_000_000) / 1000)),
    ...(rests[index] ? unpackRest(rests[index]) : nothingElse),
  }))
}

const nothingElse = {
  context: '{}',
  changed: null,
  lockedBefore: null,
  attempts: 0,
  alone: false,
  lease: null,
}

function unpackRest(text: string): Omit<Claimed, 'id' | 'key' | 'operation' | 'old' | 'new' | 'createdAt'> {
  const [context = '{}', changed, lockedBefore, attempts = 0, alone, lease] = text.split(betweenFields)
  return {
    context,
    changed: changed ? JSON.parse(changed) : null,
    lockedBefore: lockedBefore || null,
    attempts: Number(attempts),
    alone: alone === 'true',
    lease: lease || null,
  }
}

function isInOrder(claimed: readonly Claimed[]): boolean {
  return claimed.every(({ id }, index) => index === 0 || (claimed[index - 1] as Claimed).id < id)
}
