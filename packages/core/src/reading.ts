import { invalid, show } from './check.js'
import type { ConsumeOptions } from './listener.js'
import type { ListenerOptions } from './options.js'
import { isStandardSchema } from './standard-schema.js'

export type Reading = Pick<ConsumeOptions, 'schema' | 'upcast'>

/**
 * Checks what decides how a stored change becomes the handler's.
 * @throws PGPUBSUB_INVALID_OPTION
 */
export function resolveReading(where: string, { schema, upcast }: ListenerOptions): Reading {
  if (schema !== undefined && !isStandardSchema(schema)) {
    throw invalid(
      `schema of ${where} must be a schema of zod 4, or of another library of the Standard Schema; it is ${show(schema)}.`,
    )
  }
  if (upcast !== undefined && typeof upcast !== 'function') {
    throw invalid(`upcast of ${where} must be a function of a stored change and its version; it is ${show(upcast)}.`)
  }
  return { schema: schema ?? null, upcast: upcast ?? null }
}
