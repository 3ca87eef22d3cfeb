import { invalid } from './check.js'

export const deliveries = ['durable', 'broadcast'] as const
/** `durable`: stored until it is handled, once. `broadcast`: sent to every worker that listens at that moment. */
export type Delivery = (typeof deliveries)[number]

/** Options that are about what is stored. */
export const durableOptions = [
  ...['order', 'wake', 'batchSize', 'attempts', 'backoff', 'highWaterMark', 'transactional', 'lease', 'batch'],
  ...['schema', 'upcast', 'replay'],
] as const

/** What a listener of broadcasts cannot have. */
export type DurableOption = (typeof durableOptions)[number]

/** @throws PGPUBSUB_INVALID_OPTION at an option that has no meaning where nothing is stored. */
export function checkBroadcastOptions(where: string, options: object): void {
  const given = options as Record<string, unknown>
  const wrong = durableOptions.find((option) => given[option] !== undefined && given[option] !== false)
  if (wrong) {
    throw invalid(
      `${where} has delivery: 'broadcast' and ${wrong}: a broadcast is not stored, so there is nothing to order, claim or try again. Leave ${wrong} out, or the delivery.`,
    )
  }
  if (given.level === 'statement') {
    throw invalid(
      `${where} has delivery: 'broadcast' and level: 'statement': each row is a broadcast of its own. Leave the level out.`,
    )
  }
}

/** @throws PGPUBSUB_INVALID_OPTION where there is no LISTEN connection, for nothing else receives them. */
export function refuseBroadcasts(listeners: readonly Broadcastable[]): void {
  const broadcast = listeners.find(({ definition }) => definition.delivery === 'broadcast')
  if (!broadcast) return
  throw invalid(
    `Listener "${broadcast.definition.name}" has delivery: 'broadcast', which needs the LISTEN connection that listenConnectionString: false leaves out. Give the address of the server itself, or choose other listeners.`,
  )
}

/** @throws PGPUBSUB_INVALID_OPTION: what is not stored cannot wait. */
export function refuseToPause({ definition: { name, delivery } }: Broadcastable): void {
  if (delivery === 'durable') return
  throw invalid(
    `Listener "${name}" has delivery: 'broadcast': nothing is stored that could wait. Stop its workers instead.`,
  )
}

interface Broadcastable {
  readonly definition: { readonly name: string; readonly delivery: Delivery }
}
