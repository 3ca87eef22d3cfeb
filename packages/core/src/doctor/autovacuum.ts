import { identifier } from '../quote.js'
import type { Examination } from './examination.js'
import type { Finding } from './finding.js'
import { duration } from './in-words.js'

const serverSwitches = ['autovacuum', 'track_counts'] as const

/** Autovacuum switched off: for the server, or for a table of the engine. */
export const autovacuumOff: Examination = async ({ db, schema, tables }) => {
  const { rows } = await db.query(
    `select name from pg_settings where name = any ($1) and reset_val = 'off' order by name`,
    [serverSwitches],
  )
  const server = rows.map(
    ({ name }): Finding => ({
      code: 'autovacuum-off',
      severity: 'problem',
      subject: `setting ${name}`,
      message: `It is off: nothing removes the dead rows of handled notifications, and the queue becomes slower with each.`,
      remedy: `Set ${name} = on (postgresql.conf, alter system, alter database or alter role: see select source from pg_settings where name = '${name}').`,
      details: { setting: name },
    }),
  )
  return [...server, ...tables.flatMap(({ name, parameters }) => tableFindings(identifier(schema, name), parameters))]
}

const tableFindings = (table: string, parameters: Readonly<Record<string, string>>): Finding[] =>
  ['autovacuum_enabled', 'toast.autovacuum_enabled']
    .filter((parameter) => isOff(parameters[parameter]))
    .map((parameter) => ({
      code: 'autovacuum-off',
      severity: 'problem',
      subject: `table ${table}`,
      message: `Its storage parameter ${parameter} is off: nothing removes the dead rows of handled notifications.`,
      remedy: `alter table ${table} reset (${parameter}).`,
      details: { parameter },
    }))

// kept as it was written
const isOff = (value: string | undefined) => value !== undefined && /^(f|fa|fal|fals|false|of|off|n|no|0)$/i.test(value)

const busyWorkers = /* sql */ `
  select count(*)::int as workers, current_setting('autovacuum_max_workers')::int as most,
    min(extract(epoch from clock_timestamp() - a.xact_start))::float8 as seconds,
    string_agg(a.datname || ': ' || regexp_replace(a.query, '^autovacuum: ', ''), ', ' order by a.xact_start) as work
  from pg_stat_activity a where a.backend_type = 'autovacuum worker'
`

/** All autovacuum workers busy for so long that the engine's tables wait for one. */
export const autovacuumBusy: Examination = async ({ db, thresholds }) => {
  const [row] = (await db.query(busyWorkers)).rows
  if (row.workers < row.most || !(row.seconds >= thresholds.vacuumSeconds)) return []
  return [
    {
      code: 'autovacuum-busy',
      severity: 'warning',
      subject: 'autovacuum workers',
      message: `All ${row.most} have been busy for ${duration(row.seconds)} or more (${row.work}), so the engine's tables wait for their vacuum.`,
      remedy:
        'Raise autovacuum_max_workers, or let them work faster: autovacuum_vacuum_cost_limit, autovacuum_vacuum_cost_delay.',
      details: row,
    },
  ]
}
