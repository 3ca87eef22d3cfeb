import { checkHandler, checkOptionNames, oneOf } from './check.js'
import type { Listener, OrderMode } from './listener.js'
import { type ListenerDefaults, type ListenerOptions, resolveListenerOptions } from './options.js'

export const messageOrders = ['key', 'none'] as const

/** Options of a listener on a channel. */
export interface ChannelListenerOptions extends Omit<ListenerOptions, 'order' | 'schema' | 'upcast'> {
  /**
   * `'key'`: messages that were published with the same `key` are handled one after another, in the order in which they
   * were published; those without a key in any order, as all are with `'none'`.
   * @default 'key'
   */
  order?: (typeof messageOrders)[number]
}

const optionNames = [
  ...['name', 'order', 'wake', 'batchSize', 'concurrency', 'attempts', 'backoff', 'timeoutMs', 'highWaterMark'],
  ...['transactional', 'lease', 'batch', 'delivery'],
] as const satisfies readonly (keyof ChannelListenerOptions)[]

/** @throws PGPUBSUB_INVALID_OPTION */
export function channelListener(
  channel: string,
  given: ChannelListenerOptions,
  handler: unknown,
  decode: Listener['decode'],
  defaults: ListenerDefaults,
): Listener {
  checkOptionNames(`on of channel "${channel}"`, given, optionNames)
  const { order: asked, ...options } = given
  const own = asked === undefined ? {} : { order: orderOf(channel, asked) }
  const { name, order, wake, delivery, ...consume } = resolveListenerOptions({ ...options, ...own }, defaults)
  checkHandler(name, handler)
  return {
    definition: { name, channel, order, wake, delivery },
    consume,
    decode,
    fieldName: (name) => name,
    handler: handler as Listener['handler'],
  }
}

const orderOf = (channel: string, order: unknown): OrderMode =>
  oneOf(`a listener of channel "${channel}"`, 'order', messageOrders, order) === 'key' ? 'row' : 'none'
