import type { Context } from '../change.js'
import type { ChannelDefinition, Listener } from '../listener.js'
import type { Message } from '../message.js'
import type { Claimed } from './claim.js'
import type { Stop } from './stop.js'

/** The stored notification of a message as the handler sees it. Throws what the decoder throws: then the attempt has failed. */
export function toMessage(
  listener: Listener,
  { name, channel }: ChannelDefinition,
  stored: Claimed,
  stop: Stop,
  tx?: unknown,
): Message<unknown> {
  const message: Omit<Message<unknown>, 'signal'> = {
    id: stored.id,
    listener: name,
    channel,
    payload: listener.decode(stored.new ?? 'null'),
    context: (stored.context === '{}' ? {} : JSON.parse(stored.context)) as Context,
    attempt: stored.attempts + 1,
    createdAt: stored.createdAt,
  }
  // made when the handler asks for it
  Object.defineProperty(message, 'signal', { enumerable: true, configurable: true, get: () => stop.signal })
  return Object.assign(message as Message<unknown>, tx !== undefined && { tx })
}
