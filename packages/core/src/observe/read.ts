import { setForTransaction } from '../consume/plan.js'
import type { Pool, ResultRow } from '../database.js'
import { requiresEngine } from '../install/not-installed.js'
import { setSafePath } from '../install/safe-path.js'
import { runOutsideScopes } from '../publish/context.js'

/**
 * Runs a query on the engine's tables by the plans that claims have, since the statistics of a queue are always wrong. It takes no
 * lock that a worker or a writer would notice.
 * @throws PGPUBSUB_NOT_INSTALLED
 */
export async function read(pool: Pool, schemaName: string, query: string): Promise<ResultRow[]> {
  // One text is one implicit transaction: the settings end with it, whichever way it ends. A context in front of it would
  // come too early for the isolation level.
  const text = `set transaction isolation level read committed, read only; select ${setForTransaction}, ${setSafePath}; ${query}`
  const results = await requiresEngine(schemaName, () => runOutsideScopes(() => pool.query(text)))
  return (results as unknown as { rows: ResultRow[] }[]).at(-1)?.rows ?? []
}
