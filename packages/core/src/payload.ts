import { PubSubError } from './errors.js'
import { PayloadProblem, type PayloadType, readPayload, writePayload } from './publish/message-json.js'
import { convertPlain } from './publish/plain-json.js'
import { issuesText, type SchemaIssue, type SchemaResult, type StandardSchema } from './standard-schema.js'

/** The payloads of one channel, on their way into the database and out of it. Both ways they must satisfy the schema. */
export class PayloadFormat {
  readonly #channel: string
  readonly #schema: StandardSchema
  readonly #types: readonly PayloadType[]

  constructor(channel: string, schema: StandardSchema, types: readonly PayloadType[]) {
    this.#channel = channel
    this.#schema = schema
    this.#types = types
  }

  /**
   * The JSON that is stored: of what was given, not of what the schema makes of it, so that a transform is made once.
   * @throws PGPUBSUB_INVALID_MESSAGE
   */
  write(payload: unknown): string {
    const { issues } = this.#validate(payload)
    if (issues) throw this.#invalid(issuesText(issues), issues)
    try {
      return writePayload(payload, this.#types)
    } catch (error) {
      throw this.#invalid(problemText(error))
    }
  }

  /** What the handler is given. @throws PGPUBSUB_UNREADABLE_MESSAGE */
  read(json: string): unknown {
    const root = { value: this.#parse(json) }
    const result = this.#validate(root.value)
    let now = result
    // what is converted may hold more that has to be
    while (now.issues && convertPlain(root, now.issues)) now = this.#validate(root.value)
    if (!now.issues) return now.value
    const { issues = now.issues } = result
    throw this.#unreadable(issuesText(issues), issues)
  }

  #parse(json: string): unknown {
    try {
      return readPayload(json, this.#types)
    } catch (error) {
      throw this.#unreadable(problemText(error))
    }
  }

  #validate(payload: unknown): SchemaResult<unknown> {
    const result = this.#schema['~standard'].validate(payload)
    if (!(result instanceof Promise)) return result
    result.catch(() => {})
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      `The schema of channel "${this.#channel}" gave a promise: it is asynchronous, or one of its checks threw. Use a schema without asynchronous checks and transforms, and do those in the handler.`,
    )
  }

  #invalid(why: string, cause?: readonly SchemaIssue[]): PubSubError {
    const message = `The payload does not fit the channel "${this.#channel}", and was not published: ${why}.`
    return new PubSubError('PGPUBSUB_INVALID_MESSAGE', message, { cause })
  }

  #unreadable(why: string, cause?: readonly SchemaIssue[]): PubSubError {
    const message = `A message of the channel "${this.#channel}" does not fit the schema that it has here: ${why}. Mend the schema and retry the dead letter, or discard it.`
    return new PubSubError('PGPUBSUB_UNREADABLE_MESSAGE', message, { cause })
  }
}

/** What stops it without being a problem of ours is the end of the stack. */
const problemText = (error: unknown) =>
  error instanceof PayloadProblem ? error.message : 'it contains itself, or is nested too deeply'
