import { invalid } from '../check.js'
import type { Listener } from '../listener.js'
import { triggersOf } from '../publish/trigger.js'
import { identifier } from '../quote.js'
import { dropOthersSql, type InstallReport, newerEngine, placeName } from './install.js'
import { manifestText } from './manifest.js'
import { type Migrated, migratedBy } from './migrated.js'
import { engineSql, engineVersion } from './migrations/index.js'
import {
  type Drift,
  differs,
  dropTriggerSql,
  dropUnusedFunctionsSql,
  findDrift,
  forgetListenersSql,
  listenerSql,
  type PlannedListener,
} from './plan.js'

/** What a folder of migrations lacks. */
export interface Migration {
  /** What it creates, replaces and drops. */
  readonly report: InstallReport
  /** For a migration behind all others. It may be applied again, over itself. */
  readonly sql: string
  /**
   * For the beginning of migrations that are there, by their place in the list: these drop or retype columns that a
   * trigger's condition names, which PostgreSQL refuses, so the trigger goes first. `sql` creates it again.
   */
  readonly releases: ReadonlyMap<number, string>
}

/**
 * Compares what is declared with what migrations install, and asks no database.
 * @param migrations their SQL, in the order in which they are applied
 * @returns null where nothing is missing
 * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_NEWER_ENGINE
 */
export function migration(
  schema: string,
  listeners: readonly Listener[],
  migrations: readonly string[],
): Migration | null {
  const planned = listeners.map((listener) => plan(schema, listener))
  const migrated = migratedBy(schema, migrations)
  if (migrated.engine > engineVersion) throw newerEngine('The migrations install', migrated.engine)
  const drift = findDrift(planned, migrated)
  const engineIsBehind = planned.length > 0 && migrated.engine < engineVersion
  if (!engineIsBehind && !differs(drift)) return null
  return {
    report: reportOf(drift, migrated),
    sql: migrationSql(schema, planned, drift, migrated),
    releases: migrated.releases,
  }
}

function plan(schema: string, { definition, tableKnown }: Listener): PlannedListener {
  if ('channel' in definition) return { definition, triggers: [] }
  if (tableKnown) return { definition, triggers: triggersOf(schema, definition, tableKnown) }
  throw invalid(
    `Listener "${definition.name}" is declared on a table, not on a model, and only the database knows its columns: install it by install(), or by the SQL that sql() gives.`,
  )
}

function reportOf(drift: Drift, { engine, released }: Migrated): InstallReport {
  const wereThere = new Set(released.map(placeName))
  const missing = drift.missing.map(placeName)
  return {
    engine: { from: engine, to: engineVersion },
    created: missing.filter((place) => !wereThere.has(place)),
    replaced: [...drift.outdated.map(placeName), ...missing.filter((place) => wereThere.has(place))],
    dropped: drift.orphaned.map(placeName),
  }
}

function migrationSql(schema: string, planned: readonly PlannedListener[], drift: Drift, migrated: Migrated): string {
  const isFirst = migrated.engine === 0
  const renewed = new Set([...drift.missing, ...drift.outdated])
  const relisted = new Set([...drift.unlisted, ...drift.relisted])
  const changed = planned
    .map((listener) => ({ ...listener, renewed: listener.triggers.filter((trigger) => renewed.has(trigger)) }))
    .filter(({ renewed }, index) => renewed.length > 0 || relisted.has(planned[index] as PlannedListener))
  const removes = drift.orphaned.length + drift.forgotten.length + migrated.released.length > 0
  const parts = [
    '-- Written by pgpubsub migrate. It may be applied again, over itself; what is installed behind it stands at the end.',
    ...(migrated.engine < engineVersion ? [engineText(schema, migrated.engine)] : []),
    // what install() may have left where migrations begin
    ...(isFirst ? [dropOthersSql(schema, planned)] : []),
    ...(drift.orphaned.length > 0
      ? [`-- not declared any more\n${drift.orphaned.map(dropTriggerSql).join('\n')}`]
      : []),
    ...changed.map(({ renewed, ...listener }) => listenerSql(schema, listener, renewed)),
    ...(isFirst || drift.forgotten.length > 0 ? [forgetListenersSql(schema, planned)] : []),
    ...(isFirst || removes ? [dropUnusedFunctionsSql(schema)] : []),
    manifestText(schema, engineVersion, planned),
  ]
  return `${parts.join('\n\n')}\n`
}

const engineText = (schema: string, from: number) =>
  `-- the engine, in the schema ${identifier(schema)}: version ${from} -> ${engineVersion}\n${engineSql(schema, from)}`
