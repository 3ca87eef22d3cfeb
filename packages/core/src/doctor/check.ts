import type { Pool } from '../database.js'
import { installedVersion } from '../install/installed.js'
import type { PlannedListener } from '../install/plan.js'
import type { Logger } from '../logger.js'
import { channelListeners } from './channels.js'
import { engineFinding } from './engine.js'
import type { Finding, FindingCode } from './finding.js'
import { readOnly } from './read-only.js'
import { triggers } from './triggers.js'

/**
 * Compares what is installed with what is declared: what the doctor says of the engine and its triggers, and nothing else.
 * @param definitions none: the engine's own list has to do
 */
export function check(
  pool: Pool,
  schema: string,
  definitions: readonly PlannedListener['definition'][],
): Promise<Finding[]> {
  return readOnly(pool, async (db) => {
    const engine = engineFinding(schema, await installedVersion(db, schema))
    if (engine) return [engine]
    const about = { db, schema, definitions }
    return [...(await triggers(about)), ...(await channelListeners(about))]
  })
}

/** Other programs may declare what this one does not. */
const ofOthers: readonly FindingCode[] = ['trigger-orphaned', 'listener-left-over', 'listener-orphaned', 'engine-newer']

/** Says to the log where the listeners of a worker are not installed as they are declared. The worker runs all the same. */
export async function warnOfDrift(
  pool: Pool,
  schema: string,
  definitions: readonly PlannedListener['definition'][],
  logger: Logger,
): Promise<void> {
  try {
    for (const { code, subject, message, remedy } of await check(pool, schema, definitions)) {
      if (!ofOthers.includes(code)) logger.warn({ code, subject, remedy }, `${subject}: ${message}`)
    }
  } catch (err) {
    // a role that only works need not be able to look
    logger.debug({ err }, 'what is installed could not be compared with what is declared')
  }
}
