import type { ResultRow } from '../database.js'
import type { Claimed } from './claim.js'

/*
 * Many notifications come back as one text: rows cost the server, the protocol and the client more than what is in them, and
 * so does the description of a column, where a worker has slept. In the text are columns, each of all these notifications:
 * to join the fields of each would cost more. What belongs together is joined by ASCII's own separators: JSON has no control
 * character in its text but white space.
 */

const betweenColumns = '\x1d'
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

const joined = (texts: readonly string[], separator: string) => texts.join(` || E'${separator}' || `)

const seldom = [
  'p.context::text',
  `case when p.changed is null then '' else pg_catalog.to_json(p.changed)::text end`,
  nullable('p.locked_before'),
]
const hasSeldom = `(p.context operator(pg_catalog.<>) '{}' or p.changed is not null or p.locked_before is not null)`
const ofWaiting = ['p.attempts::text', 'p.alone::text', nullable('p.lease')]

const rest = `case when ${hasSeldom} then ${joined(seldom, '\\x1f')} else '' end`
const restOfWaiting = joined([...seldom, ...ofWaiting], '\\x1f')

/** The columns, in the order of {@link unpackText}: the longest come last, since whatever is joined is copied. */
const columns = (rest: string) => [
  'p.id::text',
  nullable('p.key'),
  'p.operation',
  // seconds
  `pg_catalog.date_part('epoch', p.created_at)::text`,
  rest,
  nullable('p.old'),
  nullable('p.new'),
]

const list = (rest: string) => {
  const lists = columns(rest).map((text) => `pg_catalog.string_agg(${text}, E'\\x1e')`)
  return `${joined(lists, '\\x1d')} as claimed`
}

// Larger ones the server would build in memory that it has to ask the kernel for, again for each claim.
const mostInList = 128

const bySize = /* sql */ `
  group by p.id / ${mostInList}::bigint, case when coalesce(pg_catalog.pg_column_size(p.old), 0) + coalesce(pg_catalog.pg_column_size(p.new), 0)
    + pg_catalog.pg_column_size(p.context) > ${mostBytes} then p.id end`

/** The notification of `p`, null where there is none. */
export const single = /* sql */ `case when p.id is not null then ${joined(columns(rest), '\\x1d')} end as claimed`

/** Selects the notifications of `page` that the condition lets through, in few rows, and `others` beside them. */
export const packed = (condition: string, others: string) => /* sql */ `
  select ${list(rest)}, ${others} from page p where ${condition} ${bySize}`

/** The same, of notifications that waited. */
export const packedWaiting = /* sql */ `select ${list(restOfWaiting)} from page p ${bySize}`

/** The notifications in the column `claimed`, oldest first. */
export function unpack(rows: readonly ResultRow[]): Claimed[] {
  const [first] = rows
  if (rows.length === 1) return first.claimed === null ? [] : unpackText(first.claimed)
  const lists = rows.flatMap(({ claimed }) => (claimed === null ? [] : [unpackText(claimed)]))
  const claimed = lists.sort(([a], [b]) => byId(a as Claimed, b as Claimed)).flat()
  // a list goes on behind one that came in a row of its own
  return isInOrder(claimed) ? claimed : claimed.sort(byId)
}

const byId = (a: Claimed, b: Claimed) => (a.id < b.id ? -1 : 1)

function unpackText(text: string): Claimed[] {
  const columns = text.split(betweenColumns) as Columns<string>
  if (!columns[0].includes(betweenNotifications)) return [unpackOne(...columns)]
  const lists = columns.map((column) => column.split(betweenNotifications)) as Columns<string[]>
  const [ids, keys, operations, times, rests, olds, news] = lists
  const at = (list: string[], index: number) => list[index] as string
  return ids.map((id, index) =>
    unpackOne(
      id,
      at(keys, index),
      at(operations, index),
      at(times, index),
      at(rests, index),
      at(olds, index),
      at(news, index),
    ),
  )
}

/** Of each of {@link columns}. */
type Columns<Each> = [id: Each, key: Each, operation: Each, seconds: Each, rest: Each, old: Each, now: Each]

function unpackOne(
  id: string,
  key: string,
  operation: string,
  seconds: string,
  rest: string,
  old: string,
  now: string,
): Claimed {
  return {
    id: BigInt(id),
    key: key || null,
    operation,
    old: old || null,
    new: now || null,
    createdAt: new Date(Math.floor(Math.round(Number(seconds) * 1_000_000) / 1000)),
    ...(rest ? unpackRest(rest) : nothingElse),
  }
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
