import type { Queryable } from '../database.js'
import type { TableName } from '../listener.js'
import { identifier } from '../quote.js'
import type { Installed } from './plan.js'

/** A trigger of ours as the catalogue has it. */
export interface InstalledTrigger {
  readonly name: string
  readonly table: TableName
  /** From the trigger's comment; null where the comment was lost. */
  readonly hash: string | null
  readonly enabled: boolean
}

/** The number of the newest migration applied, 0 where there is no engine. */
export async function installedVersion(db: Queryable, schema: string): Promise<number> {
  const { rows } = await db.query('select to_regclass($1) is not null as present', [identifier(schema, 'migration')])
  if (!rows[0].present) return 0
  const newest = await db.query(`select coalesce(max(number), 0) as number from ${identifier(schema)}.migration`)
  return newest.rows[0].number
}

// tgparentid: the copies that a partitioned table's trigger has on each partition come and go with it, but can be
// disabled each for itself. A trigger of state 'A' fires in a replica as well: someone wanted that.
const readTriggers = /* sql */ `
  select t.tgname as name, n.nspname as schema, c.relname as table, t.tgenabled in ('O', 'A') and not exists (
      select from pg_trigger copy
      where copy.tgname = t.tgname and copy.tgfoid = t.tgfoid and copy.tgparentid <> 0 and copy.tgenabled not in ('O', 'A')
    ) as enabled,
    substring(obj_description(t.oid, 'pg_trigger') from '^pgpubsub ([0-9a-f]+):') as hash
  from pg_trigger t
  join pg_class c on c.oid = t.tgrelid
  join pg_namespace n on n.oid = c.relnamespace
  join pg_proc p on p.oid = t.tgfoid
  join pg_namespace pn on pn.oid = p.pronamespace
  where pn.nspname = $1 and t.tgparentid = 0
  order by n.nspname, c.relname, t.tgname
`

/** What of ours the database has. Where there is no engine, there is nothing. */
export async function installedIn(db: Queryable, schema: string, version: number): Promise<Installed> {
  if (version === 0) return { triggers: [], listeners: [] }
  return { triggers: await installedTriggers(db, schema), listeners: await installedListeners(db, schema) }
}

async function installedTriggers(db: Queryable, schema: string): Promise<InstalledTrigger[]> {
  const { rows } = await db.query(readTriggers, [schema])
  return rows.map((row) => ({
    name: row.name,
    table: { schema: row.schema, name: row.table },
    hash: row.hash,
    enabled: row.enabled,
  }))
}

/** A listener of the engine's own list. */
export interface InstalledListener {
  readonly name: string
  readonly hash: string
  /** Null where it listens to a table. */
  readonly channel: string | null
}

export async function installedListeners(db: Queryable, schema: string): Promise<InstalledListener[]> {
  const { rows } = await db.query(`select name, hash, channel from ${identifier(schema)}.listener order by name`)
  return rows
}
