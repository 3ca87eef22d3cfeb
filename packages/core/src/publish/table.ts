import type { Queryable } from '../database.js'
import { PubSubError } from '../errors.js'
import type { TableName } from '../listener.js'
import { identifier } from '../quote.js'

/** A column as the catalogue knows it. */
export interface Column {
  readonly name: string
  /** Computed by the database: a BEFORE trigger does not have its new value yet. */
  readonly generated: boolean
  /** Whether the type's own `=` tells equal values from others: json, xml and the geometric types have none that does, nor have lists and domains of them. */
  readonly comparable: boolean
  /** The type behind its domains, without its length: `numeric`, `"archive"."Mood"[]`. */
  readonly type: string
  /** The schema of the type's operators. */
  readonly operators: string
  /** Whether texts that its collation calls equal are the same bytes. */
  readonly deterministic: boolean
}

/** A table as the catalogue knows it. */
export interface Table extends TableName {
  readonly columns: readonly Column[]
  /** Columns of the primary key; without one, of the first unique index whose columns cannot be null; else empty. */
  readonly key: readonly string[]
  /** Tables that inherit from it (not its partitions): triggers on the parent do not fire for their rows. */
  readonly heirs: readonly TableName[]
  /** It is partitioned, a partition, inherits or is inherited from: its rows are written by statements on other tables too. */
  readonly related: boolean
}

const describeTable = /* sql */ `
  with recursive heirs (oid) as (
    select i.inhrelid from pg_inherits i join pg_class c on c.oid = i.inhrelid
    where i.inhparent = to_regclass($1) and not c.relispartition
    union
    select i.inhrelid from heirs h join pg_inherits i on i.inhparent = h.oid
    join pg_class c on c.oid = i.inhrelid where not c.relispartition
  ), identity (attnums) as (
    -- without the columns that an index only includes
    select (i.indkey::int2[])[:i.indnkeyatts - 1]
    from pg_index i
    where i.indrelid = to_regclass($1) and i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
      and not exists (
        select from pg_attribute a
        where a.attrelid = i.indrelid and a.attnum = any ((i.indkey::int2[])[:i.indnkeyatts - 1]) and not a.attnotnull
      )
    order by i.indisprimary desc, i.indexrelid
    limit 1
  ), base_types (attnum, oid) as (
    -- what a column is behind its domains
    select a.attnum, a.atttypid from pg_attribute a
    where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
    union
    select b.attnum, t.typbasetype from base_types b join pg_type t on t.oid = b.oid where t.typtype = 'd'
  ), value_types (attnum, oid) as (
    -- what a column holds, behind its domains and in its lists
    select a.attnum, a.atttypid from pg_attribute a
    where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
    union
    select v.attnum, case when t.typtype = 'd' then t.typbasetype else t.typelem end
    from value_types v join pg_type t on t.oid = v.oid
    where t.typtype = 'd' or (t.typcategory = 'A' and t.typelem <> 0)
  ), incomparable (attnum) as (
    select v.attnum from value_types v join pg_type t on t.oid = v.oid
    where t.typtype <> 'd' and t.typcategory <> 'A' and t.typtype not in ('e', 'r', 'm')
      -- 1 day equals 24 hours; an extension's type may have an equality that overlooks a change, as citext has
      and (t.typcategory = 'G' or t.oid >= 16384 or t.oid = 'interval'::regtype or not exists (
        select from pg_opclass o join pg_am m on m.oid = o.opcmethod
        where m.amname in ('btree', 'hash') and o.opcdefault
          and o.opcintype in (t.oid, case t.oid when 'varchar'::regtype then 'text'::regtype when 'cidr'::regtype then 'inet'::regtype end)
      ))
    union
    select a.attnum from pg_attribute a join pg_collation l on l.oid = a.attcollation
    where a.attrelid = to_regclass($1) and not l.collisdeterministic
  )
  select
    c.relkind,
    c.relkind = 'p' or exists (select from pg_inherits i where c.oid in (i.inhrelid, i.inhparent)) as related,
    (
      select json_agg(json_build_object(
        'name', a.attname,
        'generated', a.attgenerated <> '',
        'comparable', not exists (select from incomparable i where i.attnum = a.attnum),
        -- -1: a bare "character" would be one letter. One that is not PostgreSQL's own is quoted, whatever its name is.
        'type', case when n.nspname = 'pg_catalog' then format_type(t.oid, -1) else
          '"' || replace(n.nspname, '"', '""') || '"."' || replace(coalesce(e.typname, t.typname), '"', '""') || '"'
          || case when e.oid is null then '' else '[]' end end,
        'operators', case when t.typtype = 'b' and t.typcategory <> 'A' then n.nspname else 'pg_catalog' end,
        'deterministic', coalesce(l.collisdeterministic, true)
      ) order by a.attnum)
      from pg_attribute a
      join base_types b on b.attnum = a.attnum
      join pg_type t on t.oid = b.oid and t.typtype <> 'd'
      join pg_namespace n on n.oid = t.typnamespace
      left join pg_type e on e.oid = t.typelem and t.typcategory = 'A'
      left join pg_collation l on l.oid = a.attcollation
      where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as columns,
    (
      select json_agg(a.attname order by array_position(i.attnums, a.attnum))
      from identity i join pg_attribute a on a.attrelid = c.oid and a.attnum = any (i.attnums)
    ) as key,
    (
      select json_agg(json_build_object('schema', n.nspname, 'name', r.relname) order by n.nspname, r.relname)
      from heirs h join pg_class r on r.oid = h.oid join pg_namespace n on n.oid = r.relnamespace
    ) as heirs
  from pg_class c where c.oid = to_regclass($1)
`

const ordinaryOrPartitioned = ['r', 'p']
const kinds: Record<string, string> = {
  v: 'a view',
  m: 'a materialized view',
  f: 'a foreign table',
  S: 'a sequence',
  c: 'a composite type',
}

/**
 * Reads a table's columns and key from the catalogue.
 * @throws PGPUBSUB_UNKNOWN_TABLE, PGPUBSUB_NOT_A_TABLE
 */
export async function readTable(db: Queryable, name: TableName, usedBy: string): Promise<Table> {
  const { rows } = await db.query(describeTable, [identifier(name.schema, name.name)])
  const where = `"${name.schema}"."${name.name}"`
  const found = rows[0]
  if (!found) {
    throw new PubSubError(
      'PGPUBSUB_UNKNOWN_TABLE',
      `Listener "${usedBy}" listens to the table ${where}, which this database does not have. Apply your migrations before installing.`,
    )
  }
  if (!ordinaryOrPartitioned.includes(found.relkind)) {
    throw new PubSubError(
      'PGPUBSUB_NOT_A_TABLE',
      `Listener "${usedBy}" listens to ${where}, which is ${kinds[found.relkind] ?? 'not a table'}: only tables have row triggers. Listen to the tables behind it.`,
    )
  }
  return {
    ...name,
    columns: found.columns ?? [],
    key: found.key ?? [],
    heirs: found.heirs ?? [],
    related: found.related,
  }
}
