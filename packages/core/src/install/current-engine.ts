import type { Queryable } from '../database.js'
import { PubSubError } from '../errors.js'
import { installedVersion } from './installed.js'
import { engineVersion } from './migrations/index.js'
import { notInstalled } from './not-installed.js'

/** @throws PGPUBSUB_NOT_INSTALLED where the database has no engine, or an older one than this code needs. */
export async function requireCurrentEngine(db: Queryable, schema: string): Promise<void> {
  const version = await installedVersion(db, schema)
  if (version >= engineVersion) return
  throw new PubSubError(
    'PGPUBSUB_NOT_INSTALLED',
    version === 0
      ? notInstalled(schema)
      : `The engine in the schema "${schema}" has version ${version}, and this code needs ${engineVersion}: call install() before listen().`,
  )
}
