import { type Manifest, type ManifestTrigger, readManifest } from './manifest.js'
import { dropTriggerSql } from './plan.js'
import { type TableChange, tableChanges } from './table-changes.js'

/** What is there when every migration of a folder has been applied. */
export interface Migrated extends Manifest {
  /** Triggers that a migration after the manifest's has to find gone. They are no more among `triggers`. */
  readonly released: readonly ManifestTrigger[]
  /** Statements that drop those, for the beginning of that migration, by its place in the list. */
  readonly releases: ReadonlyMap<number, string>
}

/**
 * Reads what migrations install: by the newest manifest, and by what the migrations after it do to our tables.
 * @param migrations their SQL, in the order in which they are applied
 */
export function migratedBy(schema: string, migrations: readonly string[]): Migrated {
  const manifests = migrations.map((sql) => readManifest(schema, sql))
  const newest = manifests.findLastIndex((manifest) => manifest !== null)
  const manifest = manifests[newest] ?? { schema, engine: 0, listeners: [], triggers: [] }
  const released: ManifestTrigger[] = []
  const releases = new Map<number, string>()
  let { triggers } = manifest
  for (const [index, sql] of migrations.entries()) {
    if (index <= newest) continue
    const changes = tableChanges(sql)
    triggers = triggers.filter((trigger) => !changes.some((change) => change.dropped && isOn(trigger, change)))
    const inTheWay = triggers.filter((trigger) => changes.some((change) => isInTheWay(trigger, change)))
    if (inTheWay.length === 0) continue
    triggers = triggers.filter((trigger) => !inTheWay.includes(trigger))
    released.push(...inTheWay)
    releases.set(index, releaseSql(inTheWay))
  }
  return { ...manifest, triggers, released, releases }
}

const isOn = ({ table }: ManifestTrigger, change: TableChange) =>
  table.name === change.table && (change.schema === null || table.schema === change.schema)

const isInTheWay = (trigger: ManifestTrigger, change: TableChange) =>
  isOn(trigger, change) && trigger.watches.some((column) => change.columns.includes(column))

const releaseSql = (
  triggers: readonly ManifestTrigger[],
) => `-- pgpubsub: what follows changes columns that these triggers name, and they are created again behind it
${triggers.map(dropTriggerSql).join('\n')}
`
