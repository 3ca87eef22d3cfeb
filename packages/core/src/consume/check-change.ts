import { PubSubError } from '../errors.js'
import { issuesText, type SchemaResult, type StandardSchema } from '../standard-schema.js'

/**
 * The change with what the schema has made of it, which may be a promise: schemas can check asynchronously.
 * @throws PGPUBSUB_INVALID_CHANGE
 */
export function checked<C extends object>(change: C, schema: StandardSchema): C | Promise<C> {
  const result = schema['~standard'].validate(change)
  return result instanceof Promise ? result.then((late) => merged(change, late)) : merged(change, result)
}

function merged<C extends object>(change: C, result: SchemaResult<unknown>): C {
  if (!result.issues) return { ...change, ...(result.value as object) }
  const text = issuesText(result.issues)
  throw new PubSubError(
    'PGPUBSUB_INVALID_CHANGE',
    `The stored change does not satisfy the schema of its listener: ${text}. Mend the schema or give the listener an upcast, and retry the dead letter; or discard it.`,
    { cause: Object.assign(new Error(text), { issues: result.issues }) },
  )
}
