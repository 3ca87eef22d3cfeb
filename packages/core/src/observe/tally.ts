/** So many are counted one by one; what is above is estimated. */
export const countedExactly = 10_000

// Together less than the exact count, so that an estimate costs at most as much again.
const windows = 100
const rowsOfWindow = 40
const mostRowsOfWindow = 200

/** Conditions on a row, by the name of the column that tells how many rows meet it. */
type Marks = Readonly<Record<string, string>>

const list = (names: readonly string[], column: (name: string) => string) =>
  names.map((name) => `, ${column(name)}`).join('')

const conditions = (marks: Marks) => list(Object.keys(marks), (mark) => `${marks[mark]} as ${mark}`)

const counts = (marks: Marks) =>
  `count(*)::float8 as total${list(Object.keys(marks), (mark) => `count(*) filter (where r.${mark})::float8 as ${mark}`)}`

/**
 * How many rows a range of an index on ids has: an exact count of the first {@link countedExactly}, and an estimate of what
 * is behind them. It needs no statistics: the table of a queue has none that are true.
 *
 *   ids ──► counted ─────────►|··▓······|····▓····|▓········|······▓··|  windows, one in each of 100 equal parts
 *
 * The windows are as wide as 40 rows are at the counted end, and stand anywhere in their parts: so gaps, and ids that other
 * listeners have, count for what they are. Where a window is as wide as its part, the result is exact.
 *
 * @param source `from` and `where` of the rows `n`
 * @param marks counted and estimated as the rows are
 * @param firstMarks counted among the first rows only
 */
export function tally(source: string, marks: Marks = {}, firstMarks: Marks = {}): string {
  const first = { ...marks, ...firstMarks }
  return /* sql */ `
    select f.total > ${countedExactly} as estimated, f.oldest, f.total + coalesce(rest.total, 0) as total
      ${list(Object.keys(marks), (mark) => `f.${mark} + coalesce(rest.${mark}, 0) as ${mark}`)}
      ${list(Object.keys(firstMarks), (mark) => `f.${mark}`)}
    from (
      select ${counts(first)}, min(r.id)::float8 as first, max(r.id)::float8 as last, min(r.created_at) as oldest
      from (select n.id, n.created_at${conditions(first)} ${source} order by n.id limit ${countedExactly} + 1) r
    ) f
    cross join lateral (
      select sum(w.total * w.weight) as total${list(Object.keys(marks), (mark) => `sum(w.${mark} * w.weight) as ${mark}`)}
      from (${estimate(source, marks)}) w
    ) rest`
}

/** The windows on the rows behind `f.last`, and for how many times its rows each of them stands. */
const estimate = (source: string, marks: Marks) => /* sql */ `
  select r.*, part.size / case when r.total < ${mostRowsOfWindow} then part.width else r.last - place.start + 1 end as weight
  from (
    select p.size, least(p.size, (f.last - f.first + 1) * ${rowsOfWindow / countedExactly}) as width
    from (select ((select n.id ${source} order by n.id desc limit 1) - f.last) / ${windows} as size) p
    where f.total > ${countedExactly} and p.size > 0
    offset 0
  ) part
  cross join lateral (
    select f.last + 1 + number * part.size + random() * (part.size - part.width) as start
    from generate_series(0, ${windows - 1}) number
    offset 0
  ) place
  cross join lateral (
    select ${counts(marks)}, max(r.id) as last
    from (
      select n.id${conditions(marks)} ${source}
        and n.id >= ceil(place.start)::bigint and n.id < ceil(place.start + part.width)::bigint
      order by n.id limit ${mostRowsOfWindow}
    ) r
  ) r`
