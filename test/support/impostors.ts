import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'

const packages = fileURLToPath(new URL('../../packages', import.meta.url))

/** Every word before a bracket in our code: the functions that our SQL calls are among them. */
function calledNames(): string[] {
  const files = readdirSync(packages, { recursive: true, encoding: 'utf8' }).filter((file) =>
    /^[^/]+\/src\/.*\.ts$/.test(file),
  )
  const text = files.map((file) => readFileSync(join(packages, file), 'utf8')).join('\n')
  return [...new Set([...text.matchAll(/\b([a-z_]+)\s*\(/g)].map(([, name]) => name as string))]
}

const statements = /* sql */ `
  with types (name) as (
    select unnest('{bigint,int,smallint,oid,regclass,text,name,"char",boolean,numeric,float8,jsonb,timestamptz,interval,
      bigint[],smallint[]}'::text[])
  ), arguments (number, list, of_operator) as (
    select 1, t.name, null from types t
    union all
    select 2, l.name || ', ' || r.name, format('leftarg = %s, rightarg = %s', l.name, r.name) from types l, types r
  ), called (name, arguments) as (
    select distinct p.proname, p.pronargs from pg_proc p
    where p.pronamespace = 'pg_catalog'::regnamespace and p.proname = any ($1)
  )
  select format('create function public.%I(%s) returns bigint', c.name, a.list) as head, c.name || '(' || a.list || ')' as name
  from called c join arguments a on a.number = c.arguments
  union all
  select format('create function public.impostor(%s) returns boolean', a.list), 'an operator of ' || a.list
  from arguments a where a.number = 2
  union all
  select format('create operator public.%s (%s, function = public.impostor)', o.name, a.of_operator), null
  from unnest('{=,<>,<,<=,>,>=,+,-,*,/,||,->,->>,~}'::text[]) o (name), arguments a where a.number = 2
`

/**
 * Puts functions and operators into the schema `public` that fit the calls of our SQL better than PostgreSQL's own, which
 * take any type or need a cast: for every function that our code may call and for every operator one for each pair of
 * types. Each raises.
 * @returns how many
 */
export async function createImpostors(client: pg.Client): Promise<number> {
  const { rows } = await client.query(statements, [calledNames()])
  const raise = (name: string) => `language plpgsql as $$ begin raise 'impostor of %', '${name}'; end $$`
  await client.query(rows.map(({ head, name }) => (name === null ? head : `${head} ${raise(name)}`)).join(';\n'))
  return rows.length
}
