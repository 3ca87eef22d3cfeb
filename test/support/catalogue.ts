import type { TestDatabase } from './test.ts'

const schema = `'pgpubsub'::regnamespace`

/** What PostgreSQL's catalogue knows of the engine, each entry as one text. */
const sections: Record<string, string> = {
  tables: `select format('table %s with (%s)', c.relname, array_to_string(c.reloptions, ', ')) as entry
    from pg_class c where c.relnamespace = ${schema} and c.relkind = 'r' order by 1`,
  'toast tables': `select format('toast of %s with (%s)', c.relname, array_to_string(t.reloptions, ', '))  as entry
    from pg_class c join pg_class t on t.oid = c.reltoastrelid
    where c.relnamespace = ${schema} and c.relkind = 'r' order by 1`,
  columns: `select format('%s.%s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod))
      || case when a.attcollation not in (0, 'default'::regcollation) then ' collate ' || a.attcollation::regcollation else '' end
      || case a.attnotnull when true then ' not null' else '' end
      || case a.attidentity::text when '' then '' else ' identity ' || a.attidentity::text end
      || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '') as entry
    from pg_class c join pg_attribute a on a.attrelid = c.oid left join pg_attrdef d on (d.adrelid, d.adnum) = (c.oid, a.attnum)
    where c.relnamespace = ${schema} and c.relkind = 'r' and a.attnum > 0 and not a.attisdropped order by c.relname, a.attnum`,
  constraints: `select format('%s: %s', conrelid::regclass, pg_get_constraintdef(oid)) as entry
    from pg_constraint where connamespace = ${schema} and contype <> 'n' order by 1`,
  indexes: `select pg_get_indexdef(i.indexrelid) as entry
    from pg_index i join pg_class c on c.oid = i.indrelid where c.relnamespace = ${schema} order by 1`,
  rights: `select format('%s: %s', c.relname, c.relacl) as entry
    from pg_class c where c.relnamespace = ${schema} and c.relkind = 'r' and
      exists (select from aclexplode(c.relacl) r where r.grantee <> c.relowner) order by 1`,
  functions: `select pg_get_functiondef(p.oid) || case
      when exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) r where r.grantee <> p.proowner)
      then ' -- others may execute it' else '' end as entry
    from pg_proc p where p.pronamespace = ${schema} order by p.proname`,
}

/** The engine as PostgreSQL knows it: tables, columns, storage parameters, indexes, functions, rights. */
export async function engineDump(database: TestDatabase): Promise<string> {
  const texts: string[] = []
  for (const [title, query] of Object.entries(sections)) {
    const entries = (await database.sql(query)).map((row) => row.entry)
    texts.push([`-- ${title}`, ...entries].join('\n'))
  }
  return `${texts.join('\n\n')}\n`
}

/** The engine, its triggers, and its own list of listeners. */
export async function catalogue(database: TestDatabase) {
  const triggers =
    await database.sql(`select pg_get_triggerdef(t.oid) as definition, t.tgenabled, t.tgrelid::regclass::text,
      t.tgparentid <> 0 as copy, obj_description(t.oid, 'pg_trigger') as comment
    from pg_trigger t where not t.tgisinternal order by t.tgrelid::regclass::text, t.tgname`)
  const listeners = await database.sql(
    'select name, table_schema, table_name, definition, hash, paused from pgpubsub.listener order by name',
  )
  const migrations = await database.sql('select number from pgpubsub.migration order by number')
  return { engine: await engineDump(database), triggers, listeners, migrations }
}
