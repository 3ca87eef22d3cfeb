import { PubSubError } from '../errors.js'
import { type InstalledTrigger, installedIn } from '../install/installed.js'
import { engineVersion } from '../install/migrations/index.js'
import { type Drift, findDrift, type Installed, type PlannedListener, planListeners } from '../install/plan.js'
import type { TableName } from '../listener.js'
import { identifier } from '../quote.js'
import type { Declared } from './examination.js'
import type { Finding } from './finding.js'

/** Triggers that are missing, changed, switched off or left over: by what is declared, else by the engine's own list. */
export async function triggers(patient: Declared): Promise<Finding[]> {
  const installed = await installedIn(patient.db, patient.schema, engineVersion)
  return patient.definitions.length > 0 ? declared(patient, installed) : recorded(patient, installed)
}

async function declared({ db, schema, definitions }: Declared, installed: Installed): Promise<Finding[]> {
  const planned: PlannedListener[] = []
  const findings: Finding[] = []
  for (const definition of definitions) {
    try {
      planned.push(...(await planListeners(db, schema, [definition])))
    } catch (error) {
      if (!(error instanceof PubSubError)) throw error
      findings.push(doesNotFit(definition.name, error))
    }
  }
  const drift = findDrift(planned, installed)
  return [
    ...findings,
    ...drift.missing.map(missing),
    ...drift.outdated.map(outdated),
    ...drift.disabled.map(disabled),
    // what it planned to be is not known
    ...(findings.length > 0 ? [] : drift.orphaned.map((trigger) => orphaned(trigger, 'no declared listener wants it'))),
    // beside triggers of theirs that are missing or orphaned it would say the same again
    ...(drift.missing.length > 0
      ? []
      : drift.unlisted.filter(isOnTable).map(({ definition }) => unlisted(definition.name))),
    ...(drift.orphaned.length > 0
      ? []
      : drift.forgotten
          .filter(({ name, channel }) => channel === null && !isIn(findings, name))
          .map(({ name }) => leftOver(name))),
  ]
}

/** The engine's list has the hashes of the triggers that install() made. */
async function recorded({ db, schema }: Declared, { triggers: installed }: Installed): Promise<Finding[]> {
  const { rows } = await db.query(
    `select name, table_schema, table_name, string_to_array(hash, ' ') as hashes from ${identifier(schema)}.listener where channel is null order by name`,
  )
  const known = new Set(rows.flatMap((row) => row.hashes as string[]))
  const there = new Set(installed.map(({ hash }) => hash))
  const incomplete = rows.flatMap((row): Finding[] => {
    const lost = (row.hashes as string[]).filter((hash) => !there.has(hash)).length
    return lost > 0 ? [incompleteListener(row, lost, row.hashes.length)] : []
  })
  return [
    ...incomplete,
    ...installed.filter(({ enabled }) => !enabled).map(disabled),
    ...installed
      .filter(({ hash }) => hash === null || !known.has(hash))
      .map((trigger) => orphaned(trigger, "the engine's list of listeners does not have it")),
  ]
}

type Place = Pick<InstalledTrigger, 'name' | 'table'>

const subject = ({ name, table }: Place) => `trigger ${identifier(name)} on ${identifier(table.schema, table.name)}`
const details = ({ name, table }: Place) => ({ trigger: name, schema: table.schema, table: table.name })
const install = 'pgpubsub install, or apply what pgpubsub sql prints.'

function doesNotFit(listener: string, { code, message }: PubSubError): Finding {
  return {
    code: 'listener-does-not-fit',
    severity: 'problem',
    subject: `listener ${listener}`,
    message,
    remedy: 'Bring the listener and the table together: migrate the database, or change the declaration; then install.',
    details: { listener, error: code },
  }
}

const missing = (trigger: Drift['missing'][number]): Finding => ({
  code: 'trigger-missing',
  severity: 'problem',
  subject: subject(trigger),
  message: 'There is no such trigger: changes of this kind are not stored, and are lost to their listener.',
  remedy: install,
  details: details(trigger),
})

const incompleteListener = (
  { name, table_schema, table_name }: { name: string; table_schema: string; table_name: string },
  lost: number,
  of: number,
): Finding => ({
  code: 'trigger-missing',
  severity: 'problem',
  subject: `listener ${name}`,
  message: `${lost} of its ${of} triggers on ${identifier(table_schema, table_name)} are missing or were changed by hand: changes may not be stored, and be lost to it.`,
  remedy: install,
  details: { listener: name, schema: table_schema, table: table_name, missing: lost },
})

const outdated = (trigger: Drift['outdated'][number]): Finding => ({
  code: 'trigger-outdated',
  severity: 'problem',
  subject: subject(trigger),
  message: 'It is not the one that the declaration asks for: another release, or another definition, installed it.',
  remedy: install,
  details: details(trigger),
})

const disabled = (trigger: Place & { readonly table: TableName }): Finding => ({
  code: 'trigger-disabled',
  severity: 'problem',
  subject: subject(trigger),
  message:
    'It is disabled, on the table or on one of its partitions: changes of this kind are not stored, and are lost.',
  remedy: `alter table ${identifier(trigger.table.schema, trigger.table.name)} enable trigger ${identifier(trigger.name)}.`,
  details: details(trigger),
})

const orphaned = (trigger: InstalledTrigger, why: string): Finding => ({
  code: 'trigger-orphaned',
  severity: 'warning',
  subject: subject(trigger),
  message: `It stores changes, and ${why}: they may wait for ever.`,
  remedy:
    'pgpubsub install drops it. Programs that declare different listeners in one database need different schemas.',
  details: details(trigger),
})

const isOnTable = ({ definition }: PlannedListener) => !('channel' in definition)

const isIn = (findings: readonly Finding[], listener: string) =>
  findings.some(({ details }) => details.listener === listener)

const unlisted = (listener: string): Finding => ({
  code: 'listener-unlisted',
  severity: 'problem',
  subject: `listener ${listener}`,
  message: "The engine's list of listeners does not have it, so it cannot be paused, and status() does not show it.",
  remedy: install,
  details: { listener },
})

const leftOver = (listener: string): Finding => ({
  code: 'listener-left-over',
  severity: 'warning',
  subject: `listener ${listener}`,
  message: "The engine's list of listeners has it, and no program that is asked here declares it.",
  remedy: 'pgpubsub install takes it off the list.',
  details: { listener },
})
