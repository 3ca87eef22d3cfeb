import {
  type Channel,
  type ChannelListenerOptions,
  type Given,
  type InputOf,
  type Message,
  type OutputOf,
  type PayloadType,
  type PublishOptions,
  type PubSub,
  PubSubError,
  type StandardSchema,
  show,
} from '@pgpubsub/core'
import { Decimal, type ITXClientDenyList } from '@prisma/client/runtime/client'
import { prismaTransactions } from './batch-transaction.js'
import { databaseOf, type PrismaTransaction } from './dead-letters.js'
import type { RootClient } from './request-context.js'
import type { Exactly } from './types.js'

/** Options of a listener on a channel. */
export interface PrismaChannelListenerOptions extends ChannelListenerOptions {
  /**
   * Of a transactional listener: the client whose transactions its handler is given, so that `tx` has its models and types.
   * @default the client as `pubsub()` has extended it; `tx` is typed for raw statements alone
   */
  client?: object
}

/** What `tx` is in a handler with the options `O`. */
type TransactionIn<O> = O extends { client: infer Client extends object }
  ? Omit<Client, ITXClientDenyList>
  : PrismaTransaction

/** `prisma.$pubsub.channel()`: a named stream of messages that are not row changes. Every payload satisfies its schema. */
export class PrismaChannel<S extends StandardSchema> {
  readonly #engine: PubSub
  readonly #client: () => RootClient
  readonly #channel: Channel<S, PrismaTransaction>

  constructor(engine: PubSub, client: () => RootClient, name: string, schema: S) {
    this.#engine = engine
    this.#client = client
    this.#channel = engine.channelIn(name, schema, { database: databaseOf(engine), types: [decimals] })
  }

  /** Its name, under which messages are published in SQL too. */
  get name(): string {
    return this.#channel.name
  }

  /**
   * Stores a message for each listener of the channel: when the transaction commits, or at once without one. A channel
   * that no listener is installed for stores nothing.
   * @param payload what the schema takes; what does not fit it is not published
   * @param options.tx the transaction that it belongs to; without one it has its own, also inside of a transaction
   * @param options.key messages of one key are handled one after another
   * @example
   * await prisma.$transaction(async (tx) => {
   *   await tx.media.update({ where: { id }, data: { status: 'Clean' } })
   *   await scanned.publish({ mediaId: id }, { tx, key: String(id) })
   * })
   * @throws PGPUBSUB_INVALID_MESSAGE when the payload does not fit the schema or cannot be stored,
   * PGPUBSUB_INVALID_OPTION, PGPUBSUB_NOT_INSTALLED
   */
  publish(payload: InputOf<S>, options?: PublishOptions<PrismaTransaction>): Promise<void> {
    return this.#channel.publish(payload, options)
  }

  /**
   * Declares a listener on the channel. `install()` makes it one that messages are stored for.
   * @example
   * scanned.on({ name: 'mail-owner', attempts: 5 }, async ({ payload, context }) => mailOwner(payload.mediaId, context))
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_DUPLICATE_LISTENER
   */
  on(name: string, handler: (message: Message<OutputOf<S>>) => unknown): void
  on<const O extends PrismaChannelListenerOptions>(
    options: Exactly<PrismaChannelListenerOptions, O>,
    handler: (given: Given<O, Message<OutputOf<S>>, TransactionIn<O>>) => unknown,
  ): void
  on(nameOrOptions: string | PrismaChannelListenerOptions, handler: unknown): void {
    const { client, ...options } = optionsOf(this.name, nameOrOptions)
    if (client !== undefined && typeof (client as RootClient)?.$transaction !== 'function') {
      throw new PubSubError(
        'PGPUBSUB_INVALID_OPTION',
        `client of a listener of channel "${this.name}" must be the extended client of Prisma; it is ${show(client)}.`,
      )
    }
    const transactions = prismaTransactions(() => (client as RootClient | undefined) ?? this.#client())
    this.#engine.declare({ ...this.#channel.listener(options, handler), transactions })
  }
}

function optionsOf(channel: string, given: string | PrismaChannelListenerOptions): PrismaChannelListenerOptions {
  if (typeof given === 'string') return { name: given }
  if (typeof given === 'object' && given !== null) return given
  throw new PubSubError(
    'PGPUBSUB_INVALID_OPTION',
    `on of channel "${channel}" takes the name of a listener, or its options; it was given ${show(given)}.`,
  )
}

/** Prisma's own; of another copy of decimal.js they come back as Prisma's. */
const decimals: PayloadType<Decimal> = {
  tag: '$decimal',
  is: (value): value is Decimal => Decimal.isDecimal(value),
  write: (decimal) => decimal.valueOf(),
  read: (text) => new Decimal(text),
}
