import type { Connection, Pool, Queryable } from '../database.js'
import { PubSubError } from '../errors.js'
import { installedVersion } from '../install/installed.js'
import type { ChannelDefinition, ListenerDefinition } from '../listener.js'
import { autovacuumBusy, autovacuumOff } from './autovacuum.js'
import { channelListeners } from './channels.js'
import { deadLetterCounts } from './dead-letter-counts.js'
import { bloat, deadRows } from './dead-rows.js'
import { engineFinding } from './engine.js'
import type { Examination, Patient } from './examination.js'
import { type Finding, severities } from './finding.js'
import { notifyQueue } from './notify-queue.js'
import { type DoctorOptions, resolveDoctorOptions } from './options.js'
import { forgottenPreparedTransactions } from './prepared-transactions.js'
import { unattendedQueues } from './queues.js'
import { readOnly } from './read-only.js'
import { replicationSlots, standbyFeedback } from './replication.js'
import { captureRights, missingWorkerRights, rightsOfEveryone } from './rights.js'
import { connections, limitedSight, replicaRole, settings } from './settings.js'
import { storageParameters } from './storage-parameters.js'
import { readTableFigures } from './table-figures.js'
import { transactions } from './transactions.js'
import { triggers } from './triggers.js'

type Examinations = Readonly<Record<string, Examination>>

/** They read the catalogue and the server's statistics, and need no right on the engine. */
const ofTheServer: Examinations = {
  settings,
  'replica roles': replicaRole,
  connections,
  'the NOTIFY queue': notifyQueue,
  'what the role can see': limitedSight,
  'rights of workers': missingWorkerRights,
  'rights of the function': captureRights,
  'rights of everyone': rightsOfEveryone,
  'open transactions': transactions,
  'prepared transactions': forgottenPreparedTransactions,
  'replication slots': replicationSlots,
  'standby feedback': standbyFeedback,
  'dead rows': deadRows,
  bloat,
  autovacuum: autovacuumOff,
  'autovacuum workers': autovacuumBusy,
  'storage parameters': storageParameters,
}

/** They read the tables of an engine of this version. */
const ofTheEngine: Examinations = {
  triggers,
  channels: channelListeners,
  queues: unattendedQueues,
  'dead letters': deadLetterCounts,
}

/**
 * Looks for what is wrong, or soon will be, and writes nothing.
 * @param definitions the declared listeners; none: the engine's own list has to do
 * @returns the worst first; empty where all is well
 * @throws PGPUBSUB_INVALID_OPTION, and the driver's error when the server cannot be reached
 */
export async function diagnose(
  pool: Pool,
  schema: string,
  definitions: readonly (ListenerDefinition | ChannelDefinition)[],
  options: DoctorOptions,
): Promise<Finding[]> {
  const { role, thresholds } = resolveDoctorOptions(options)
  return readOnly(pool, async (connection) => {
    const about = { db: connection, schema, definitions, thresholds, role: await roleName(connection, role) }
    return bySeverity(await examine(connection, about))
  })
}

async function examine(connection: Connection, about: Omit<Patient, 'tables'>): Promise<Finding[]> {
  const { schema } = about
  const findings: Finding[] = []
  const look = async <T>(what: string, work: () => Promise<T>): Promise<T | null> => {
    const result = await attempt(connection, what, work)
    if ('finding' in result) findings.push(result.finding)
    return 'finding' in result ? null : result.value
  }
  const run = async (patient: Patient, examinations: Examinations) => {
    for (const [what, examination] of Object.entries(examinations)) {
      findings.push(...((await look(what, () => examination(patient))) ?? []))
    }
  }
  const tables = await look('tables', () => readTableFigures(connection, schema))
  const patient = { ...about, tables: tables ?? [] }
  await run(patient, ofTheServer)
  const version = await look('the version of the engine', () =>
    versionOf(connection, schema, patient.tables.length > 0),
  )
  if (version === null) return findings
  const finding = engineFinding(schema, version)
  if (finding) findings.push(finding)
  else await run(patient, ofTheEngine)
  return findings
}

// where the schema is closed to the role, even to look for a table in it fails
const versionOf = async (db: Queryable, schema: string, present: boolean) =>
  present ? installedVersion(db, schema) : 0

// no right, no lock in time, too long
const unable: readonly string[] = ['42501', '55P03', '57014']

/** What cannot be looked at is a finding, and the rest is looked at all the same. */
async function attempt<T>(
  connection: Connection,
  what: string,
  work: () => Promise<T>,
): Promise<{ value: T } | { finding: Finding }> {
  await connection.query('savepoint examination')
  try {
    return { value: await work() }
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    if (!unable.includes(code ?? '')) throw error
    await connection.query('rollback to savepoint examination')
    return { finding: notExamined(what, message) }
  }
}

const notExamined = (what: string, reason: string): Finding => ({
  code: 'not-examined',
  severity: 'warning',
  subject: what,
  message: `This could not be examined: ${reason}`,
  remedy: 'Run the doctor with the role that owns the engine, or when the server is less busy.',
  details: { reason },
})

async function roleName(db: Queryable, given: string | null): Promise<string> {
  const { rows } = await db.query(
    'select coalesce($1, current_user)::text as role, ($1 is null or exists (select from pg_roles where rolname = $1)) as known',
    [given],
  )
  if (rows[0].known) return rows[0].role
  throw new PubSubError(
    'PGPUBSUB_INVALID_OPTION',
    `The database has no role "${given}", whose rights were to be examined.`,
  )
}

const bySeverity = (findings: readonly Finding[]): Finding[] =>
  severities.flatMap((severity) => findings.filter((finding) => finding.severity === severity))
