import type { Queryable } from '../database.js'

/** A table of the engine, by the server's statistics and the sizes of its files. */
export interface TableFigures {
  readonly name: string
  readonly liveRows: number
  readonly deadRows: number
  /** Of its rows alone, without indexes and what is stored out of line. */
  readonly heapBytes: number
  readonly toastBytes: number
  readonly indexBytes: number
  /** Since the last vacuum, by hand or by itself; null: never. */
  readonly vacuumSeconds: number | null
  /** Storage parameters, those of its TOAST table with the prefix `toast.`. */
  readonly parameters: Readonly<Record<string, string>>
}

const readTables = /* sql */ `
  select c.relname as name, coalesce(s.n_live_tup, 0)::float8 as "liveRows", coalesce(s.n_dead_tup, 0)::float8 as "deadRows",
    pg_relation_size(c.oid)::float8 as "heapBytes",
    coalesce(pg_total_relation_size(nullif(c.reltoastrelid, 0)), 0)::float8 as "toastBytes",
    pg_indexes_size(c.oid)::float8 as "indexBytes",
    extract(epoch from clock_timestamp() - greatest(s.last_vacuum, s.last_autovacuum))::float8 as "vacuumSeconds",
    coalesce((
      select json_object_agg(split_part(o.option, '=', 1), substr(o.option, strpos(o.option, '=') + 1))
      from (
        select unnest(c.reloptions) as option union all select 'toast.' || unnest(t.reloptions)
      ) o
    ), '{}') as parameters
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  left join pg_class t on t.oid = c.reltoastrelid
  left join pg_stat_all_tables s on s.relid = c.oid
  where n.nspname = $1 and c.relkind = 'r'
  order by c.relname
`

/** Reads no row of them, and needs no right on them. */
export async function readTableFigures(db: Queryable, schema: string): Promise<TableFigures[]> {
  return (await db.query(readTables, [schema])).rows
}
