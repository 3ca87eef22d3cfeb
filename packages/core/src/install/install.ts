import { setTimeout as sleep } from 'node:timers/promises'
import { reconnectBackoff } from '../consume/backoff.js'
import type { Connection, Pool, Queryable } from '../database.js'
import { PubSubError } from '../errors.js'
import { doBlock, literal } from '../quote.js'
import { installedIn, installedVersion } from './installed.js'
import { engineSql, engineVersion } from './migrations/index.js'
import {
  differs,
  dropTriggerSql,
  dropUnusedFunctionsSql,
  findDrift,
  forgetListenersSql,
  listenerSql,
  type PlannedListener,
  planListeners,
  recordListenerSql,
} from './plan.js'
import { onSafePath } from './safe-path.js'

type Definition = PlannedListener['definition']

/** What `install()` changed; all empty where everything was in place. */
export interface InstallReport {
  /** The engine's version before and after. */
  readonly engine: { readonly from: number; readonly to: number }
  /** Triggers created, by table and name. */
  readonly created: readonly string[]
  /** Triggers replaced because their definition changed or because they were disabled. */
  readonly replaced: readonly string[]
  /** Triggers dropped because no declared listener wants them. */
  readonly dropped: readonly string[]
}

/**
 * Brings the database to what is declared: the engine's schema, then the triggers. One transaction under an advisory
 * lock: when many processes start at once, one does it and the rest wait, and find nothing left to do. Where nothing
 * differs, nothing is locked and nothing written.
 *
 * A trigger's table is locked for a moment, and a lock that is not had within `lockTimeoutMs` is given up and tried
 * again, so that a long transaction does not make everyone else's writes queue behind the installation.
 * @throws PGPUBSUB_UNKNOWN_TABLE, PGPUBSUB_NOT_A_TABLE, PGPUBSUB_UNKNOWN_COLUMN, PGPUBSUB_NEWER_ENGINE, PGPUBSUB_LOCK_TIMEOUT
 */
export async function install(
  pool: Pool,
  schema: string,
  definitions: readonly Definition[],
  options: { lockTimeoutMs?: number; attempts?: number } = {},
): Promise<InstallReport> {
  // Below deadlock_timeout, 1 s by default: a deadlock with a transaction of the application ends here, and costs it nothing.
  const { lockTimeoutMs = 500, attempts = 20 } = options
  for (let attempt = 1; ; attempt++) {
    try {
      return await installOnce(pool, schema, definitions, lockTimeoutMs)
    } catch (error) {
      if ((error as { code?: string }).code !== lockNotAvailable) throw error
      if (attempt === attempts) throw lockTimeout(error, attempts)
    }
    await sleep(reconnectBackoff(attempt))
  }
}

const lockNotAvailable = '55P03'

function lockTimeout(cause: unknown, attempts: number): PubSubError {
  return new PubSubError(
    'PGPUBSUB_LOCK_TIMEOUT',
    `A table, or the installation itself, stayed locked by other transactions through ${attempts} attempts to change triggers. See pg_locks and pg_stat_activity for who holds it, and install again when it is done.`,
    { cause },
  )
}

async function installOnce(
  pool: Pool,
  schema: string,
  definitions: readonly Definition[],
  lockTimeoutMs: number,
): Promise<InstallReport> {
  return onSafePath(pool, async (connection) => {
    const before = await comparison(connection, schema, definitions)
    if (before.inPlace) return before.report
    // first: any role could keep the lock that follows
    await connection.query(`set local lock_timeout = ${lockTimeoutMs}`)
    await connection.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`pgpubsub install ${schema}`])
    return change(connection, schema, definitions)
  })
}

async function comparison(db: Queryable, schema: string, definitions: readonly Definition[]) {
  const version = await installedVersion(db, schema)
  if (version > engineVersion) throw newerEngine('The database has', version)
  const planned = await planListeners(db, schema, definitions)
  const drift = findDrift(planned, await installedIn(db, schema, version))
  const report: InstallReport = {
    engine: { from: version, to: engineVersion },
    created: drift.missing.map(placeName),
    replaced: [...drift.outdated, ...drift.disabled].map(placeName),
    dropped: drift.orphaned.map(placeName),
  }
  return { planned, drift, report, inPlace: version === engineVersion && !differs(drift) }
}

async function change(
  connection: Connection,
  schema: string,
  definitions: readonly Definition[],
): Promise<InstallReport> {
  const version = await installedVersion(connection, schema)
  if (version > engineVersion) throw newerEngine('The database has', version)
  if (version < engineVersion) await connection.query(engineSql(schema))
  const { planned, drift, report } = await comparison(connection, schema, definitions)
  const drops = drift.orphaned.map(dropTriggerSql)
  const creations = [...drift.missing, ...drift.outdated, ...drift.disabled].map((trigger) => trigger.sql)
  const records = planned.map((listener) => recordListenerSql(schema, listener))
  await connection.query(
    [...drops, ...creations, ...records, forgetListenersSql(schema, planned), dropUnusedFunctionsSql(schema)].join(
      '\n',
    ),
  )
  return { ...report, engine: { from: version, to: engineVersion } }
}

export const placeName = (trigger: { name: string; table: { schema: string; name: string } }) =>
  `${trigger.table.schema}.${trigger.table.name}: ${trigger.name}`

export function newerEngine(who: string, version: number): PubSubError {
  return new PubSubError(
    'PGPUBSUB_NEWER_ENGINE',
    `${who} engine version ${version}, and this code knows versions up to ${engineVersion}: a newer release installed it. Upgrade this program's @pgpubsub packages.`,
  )
}

/**
 * The whole installation as SQL text, for a migration or a review: the engine, the triggers of the declared listeners,
 * and the removal of all other triggers of ours. It may be applied again, over itself.
 */
export async function installSql(pool: Pool, schema: string, definitions: readonly Definition[]): Promise<string> {
  const planned = await onSafePath(pool, (connection) => planListeners(connection, schema, definitions))
  const listeners = planned.map((listener) => listenerSql(schema, listener))
  return `${[engineSql(schema), dropOthersSql(schema, planned), ...listeners, forgetListenersSql(schema, planned), dropUnusedFunctionsSql(schema)].join('\n\n')}\n`
}

export function dropOthersSql(schema: string, planned: readonly PlannedListener[]): string {
  const kept = planned
    .flatMap(({ triggers }) => triggers)
    .map(({ table, name }) => `(${[table.schema, table.name, name].map(literal).join(', ')})`)
  const others = kept.length === 0 ? '' : `\n      and (n.nspname, c.relname, t.tgname) not in (${kept.join(', ')})`
  return doBlock(`declare
  other record;
begin
  for other in
    select t.tgname, t.tgrelid::regclass as relation
    from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
    join pg_proc p on p.oid = t.tgfoid join pg_namespace pn on pn.oid = p.pronamespace
    where pn.nspname = ${literal(schema)} and t.tgparentid = 0${others}
  loop
    execute format('drop trigger %I on %s', other.tgname, other.relation);
  end loop;
end`)
}
