import { identifier } from '../quote.js'
import type { Examination } from './examination.js'
import type { Finding } from './finding.js'

/** What the role of a worker needs, and nothing more. */
const neededTables: readonly (readonly [table: string, privileges: readonly string[]])[] = [
  ['migration', ['select']],
  ['listener', ['select']],
  ['notification', ['select', 'update', 'delete']],
  ['dead_letter', ['insert']],
  ['worker', ['select', 'insert', 'update', 'delete']],
]
const neededFunctions = ['asleep_key'] as const

const missingRights = /* sql */ `
  select 'usage on schema ' || quote_ident(n.nspname) as "right"
  from pg_namespace n
  where n.nspname = $2 and not has_schema_privilege($1, n.oid, 'usage')
  union all
  select needed.privilege || ' on ' || format('%I.%I', n.nspname, c.relname)
  from unnest($3::text[], $4::text[]) as needed (relation, privilege)
  join pg_namespace n on n.nspname = $2
  join pg_class c on c.relnamespace = n.oid and c.relname = needed.relation
  where not has_table_privilege($1, c.oid, needed.privilege)
  union all
  select 'execute on function ' || p.oid::regprocedure
  from pg_namespace n join pg_proc p on p.pronamespace = n.oid
  where n.nspname = $2 and p.proname = any ($5) and not has_function_privilege($1, p.oid, 'execute')
`

/** Rights that a worker of this role would miss. */
export const missingWorkerRights: Examination = async ({ db, schema, role }) => {
  const needed = neededTables.flatMap(([table, privileges]) =>
    privileges.map((privilege) => [table, privilege] as const),
  )
  const { rows } = await db.query(missingRights, [
    role,
    schema,
    needed.map(([table]) => table),
    needed.map(([, privilege]) => privilege),
    neededFunctions,
  ])
  if (rows.length === 0) return []
  const rights = rows.map((row) => row.right as string)
  return [
    {
      code: 'missing-rights',
      severity: 'problem',
      subject: `role ${role}`,
      message: `A worker of this role would fail: it lacks ${rights.join(', ')}.`,
      remedy: `${rights.map((right) => `grant ${right} to ${identifier(role)}`).join('; ')}.`,
      details: { role, missing: rights.join(', ') },
    },
  ]
}

// The triggers' functions write with the rights of their owner, in a search path of their own.
const captureFunctions = /* sql */ `
  select p.proname as name, pg_get_userbyid(p.proowner) as owner, p.prosecdef as definer,
    coalesce(p.proconfig, '{}') && array['search_path=pg_catalog, pg_temp'] as path,
    has_schema_privilege(p.proowner, n.oid, 'usage')
      and coalesce((
        select has_table_privilege(p.proowner, c.oid, 'insert') from pg_class c
        where c.relnamespace = n.oid and c.relname = 'notification'
      ), false)
      and not exists (
        select from pg_proc f where f.pronamespace = n.oid and f.prorettype <> p.prorettype and not has_function_privilege(p.proowner, f.oid, 'execute')
      ) as rights
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname = $1 and p.prorettype = 'trigger'::regtype
  order by p.proname
`

/** The functions behind the triggers, when somebody has changed one. */
export const captureRights: Examination = async ({ db, schema }) => {
  const { rows } = await db.query(captureFunctions, [schema])
  return rows.flatMap(({ name: functionName, owner, definer, path, rights }) => {
    const name = `${identifier(schema, functionName)}()`
    const finding = (message: string, remedy: string): Finding => ({
      code: 'function-rights',
      severity: 'problem',
      subject: `function ${name}`,
      message,
      remedy,
      details: { owner },
    })
    return [
      !definer &&
        finding(
          'It is not "security definer" any more: whoever writes a table with a listener needs rights on the engine, or the write fails.',
          `alter function ${name} security definer.`,
        ),
      !path &&
        finding(
          'It has no fixed search_path any more: with its rights it may call functions that somebody else has put in its way.',
          `alter function ${name} set search_path to pg_catalog, pg_temp.`,
        ),
      !rights &&
        finding(
          `Its owner, ${owner}, may not write notifications, so every write to a table with a listener fails.`,
          `Give it back to the owner of the tables (alter function ${name} owner to …), or give ${owner} the rights: usage on the schema, insert on its notification table, execute on its functions.`,
        ),
    ].filter((found) => found !== false)
  })
}

const publicRights = /* sql */ `
  select 'schema ' || quote_ident(n.nspname) as object, lower(a.privilege_type) as privilege
  from pg_namespace n, aclexplode(n.nspacl) a
  where n.nspname = $1 and a.grantee = 0
  union all
  select case c.relkind when 'S' then 'sequence ' else '' end || format('%I.%I', n.nspname, c.relname), lower(a.privilege_type)
  from pg_namespace n join pg_class c on c.relnamespace = n.oid, aclexplode(c.relacl) a
  where n.nspname = $1 and a.grantee = 0
  union all
  select format('%I.%I', n.nspname, c.relname), lower(a.privilege_type) || format(' (%I)', t.attname)
  from pg_namespace n join pg_class c on c.relnamespace = n.oid join pg_attribute t on t.attrelid = c.oid, aclexplode(t.attacl) a
  where n.nspname = $1 and a.grantee = 0
  union all
  select 'function ' || p.oid::regprocedure, lower(a.privilege_type)
  from pg_namespace n join pg_proc p on p.pronamespace = n.oid,
    aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
  where n.nspname = $1 and a.grantee = 0
  order by 1, 2
`

/** Rights of everyone: the engine gives none. */
export const rightsOfEveryone: Examination = async ({ db, schema }) => {
  const { rows } = await db.query(publicRights, [schema])
  if (rows.length === 0) return []
  // without rights on what is in it, to enter the schema gives nothing
  const harmless = rows.every(({ object, privilege }) => object.startsWith('schema ') && privilege === 'usage')
  const rights = rows.map(({ object, privilege }) => `${privilege} on ${object}`)
  return [
    {
      code: 'public-rights',
      severity: harmless ? 'info' : 'problem',
      subject: `schema ${schema}`,
      message: harmless
        ? 'Everyone may enter the schema. Its tables and functions are still closed.'
        : `Everyone who can connect has ${rights.join(', ')}: enough to read, forge or delete changes.`,
      remedy: `${rights.map((right) => `revoke ${right} from public`).join('; ')}. See pg_default_acl for where it came from.`,
      details: { rights: rights.join(', ') },
    },
  ]
}
