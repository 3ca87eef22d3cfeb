import { PubSubError } from '../errors.js'

const noSuchObject = ['42P01', '3F000', '42883']

/** Runs statements on the engine's tables. @throws PGPUBSUB_NOT_INSTALLED where one is missing. */
export async function requiresEngine<T>(schema: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (!noSuchObject.includes((cause as { code?: string }).code ?? '')) throw cause
    const message = `The schema "${schema}" of the database has no engine, or one of an older version: call install() once before, or apply sql() as a migration.`
    throw new PubSubError('PGPUBSUB_NOT_INSTALLED', message, { cause })
  }
}

export const notInstalled = (schema: string) =>
  `The database has no schema "${schema}" of this engine: call install() once before, or apply sql() as a migration.`

/** The error for a listener that the engine's own list does not have. */
export function listenerNotInstalled(schema: string, listener: string, declared: boolean): PubSubError {
  if (declared) {
    return new PubSubError(
      'PGPUBSUB_NOT_INSTALLED',
      `The listener "${listener}" is declared, and not installed in the schema "${schema}": call install() first.`,
    )
  }
  return new PubSubError(
    'PGPUBSUB_UNKNOWN_LISTENER',
    `No listener named "${listener}" is declared here or installed in the schema "${schema}". Correct the name, or call install() where it is declared.`,
  )
}
