import { type ChannelListenerOptions, channelListener } from './channel-listener.js'
import { checkName, checkOptionNames, invalid, show } from './check.js'
import type { InTransaction } from './consume/dead-letters.js'
import type { Queryable } from './database.js'
import { PubSubError } from './errors.js'
import type { Given } from './given.js'
import type { Listener } from './listener.js'
import type { Message } from './message.js'
import type { ListenerDefaults } from './options.js'
import { PayloadFormat } from './payload.js'
import { currentJson, mutedSetting } from './publish/context.js'
import type { PayloadType } from './publish/message-json.js'
import { publish } from './publish/publish.js'
import { type InputOf, isStandardSchema, type OutputOf, type StandardSchema } from './standard-schema.js'

/** Options of `publish` of a channel. */
export interface PublishOptions<Transaction> extends InTransaction<Transaction> {
  /** Messages of one key are handled one after another, in the order in which they were published. @default in any order */
  key?: string
}

/** What a channel needs of its engine. */
export interface ChannelOptions<Transaction> {
  readonly engineSchema: string
  readonly defaults: ListenerDefaults
  /** Where statements go: into the caller's transaction, or, without one, to the pool. */
  readonly database: (tx: Transaction | undefined) => Queryable | Promise<Queryable>
  readonly declare: (listener: Listener) => void
  /** Kinds of values that its payloads may hold beside the engine's own. */
  readonly types: readonly PayloadType[]
}

/** A named stream of messages that are not row changes. Every payload satisfies its schema. */
export class Channel<S extends StandardSchema, Transaction = Queryable> {
  /** Its name, under which messages are published in SQL too. */
  readonly name: string
  readonly #options: ChannelOptions<Transaction>
  readonly #format: PayloadFormat

  /** @throws PGPUBSUB_INVALID_OPTION */
  constructor(name: string, schema: S, options: ChannelOptions<Transaction>) {
    this.name = checkName('A channel', name)
    if (!isStandardSchema(schema)) {
      throw invalid(
        `Channel "${name}" needs a schema for its payloads: one of zod 4, or of any other library that follows standardschema.dev. It was given ${show(schema)}.`,
      )
    }
    this.#options = options
    this.#format = new PayloadFormat(name, schema, options.types)
  }

  /**
   * Stores a message for each listener of the channel: when the transaction commits, or at once without one. A channel
   * that no listener is installed for stores nothing.
   * @param payload what the schema takes; what does not fit it is not published
   * @param options.tx the transaction that it belongs to; without one it has its own, also inside of a transaction
   * @param options.key messages of one key are handled one after another
   * @throws PGPUBSUB_INVALID_MESSAGE when the payload does not fit the schema or cannot be stored,
   * PGPUBSUB_INVALID_OPTION, PGPUBSUB_NOT_INSTALLED
   */
  async publish(payload: InputOf<S>, options: PublishOptions<Transaction> = {}): Promise<void> {
    checkOptionNames(`publish of channel "${this.name}"`, options, ['tx', 'key'])
    const { tx, key } = options
    if (key !== undefined && typeof key !== 'string') {
      throw invalid(`key of a message of channel "${this.name}" must be a text; it is ${show(key)}.`)
    }
    const json = this.#format.write(payload)
    const { database, engineSchema } = this.#options
    // a transaction has its context already, as it has for the changes made in it
    const context = tx === undefined ? currentJson() || null : null
    if (context === mutedSetting) return
    await publish(await database(tx), engineSchema, { channel: this.name, json, key: key ?? null, context })
  }

  /**
   * Declares a listener on the channel. `install()` makes it one that messages are stored for.
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_DUPLICATE_LISTENER
   */
  on(name: string, handler: (message: Message<OutputOf<S>>) => unknown): void
  on<const O extends ChannelListenerOptions>(
    options: O,
    handler: (given: Given<O, Message<OutputOf<S>>, Queryable>) => unknown,
  ): void
  on(nameOrOptions: string | ChannelListenerOptions, handler: unknown): void {
    this.#options.declare(this.listener(nameOrOptions, handler))
  }

  /** The listener that {@link on} declares: the way in for adapters of ORMs. @throws PGPUBSUB_INVALID_OPTION */
  listener(nameOrOptions: string | ChannelListenerOptions, handler: unknown): Listener {
    const options = typeof nameOrOptions === 'string' ? { name: nameOrOptions } : nameOrOptions
    const decode = (json: string) => this.#format.read(json)
    return channelListener(this.name, options, handler, decode, this.#options.defaults)
  }
}

/** The channels of one `PubSub`. */
export class ChannelRegistry {
  readonly #schemas = new Map<string, unknown>()

  /** @throws PGPUBSUB_DUPLICATE_CHANNEL when it has another schema already: its messages would fit one of them only. */
  add(name: string, schema: unknown): void {
    const known = this.#schemas.get(name)
    if (known !== undefined && known !== schema) {
      throw new PubSubError(
        'PGPUBSUB_DUPLICATE_CHANNEL',
        `The channel "${name}" is declared already, with another schema. Declare it once and export it, or pass the same schema object.`,
      )
    }
    this.#schemas.set(name, schema)
  }
}
