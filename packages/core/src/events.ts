import { invalid, show } from './check.js'
import { nameMeant } from './known-names.js'
import type { Logger } from './logger.js'

/** What a `PubSub` tells about itself while it runs. */
export interface PubSubEvents {
  /** A worker has taken so many notifications to handle them now, and that took so many milliseconds. */
  claimed: { listener: string; count: number; milliseconds: number }
  /** A handler has succeeded, and the notification is gone. */
  handled: { listener: string; id: bigint; attempt: number }
  /** A handler has failed; the notification waits for its next attempt, or is a dead letter. A `broadcast` is gone. */
  failed: { listener: string; id: bigint; attempt: number; error: unknown; dead: boolean; broadcast?: true }
  /** A handler threw `Discard`, the `error`; the notification is gone as if it had been handled. */
  discarded: { listener: string; id: bigint; attempt: number; error: unknown }
  /** A handler ended after its lease had lapsed: another worker has the change, and what this one did has no effect on it. */
  leaseLost: { listener: string; id: bigint; attempt: number }
  /** A listener has nothing more to do. */
  drained: { listener: string }
  /** As many notifications of a listener are stored as its `highWaterMark`: `waitForCapacity` waits. */
  highWater: { listener: string; highWaterMark: number }
  /** A listener that was full has at most half of its `highWaterMark` left: `waitForCapacity` waits no more. */
  capacity: { listener: string; highWaterMark: number }
  /** Something in the background failed and will be tried again: a claim, a connection. */
  error: { error: unknown; listener?: string }
  /** The LISTEN connection was lost; meanwhile workers poll. */
  connectionLost: { error: unknown }
  /** The LISTEN connection is back. */
  connectionRestored: object
}

/** Names of the events that `on()` takes. */
export type PubSubEvent = keyof PubSubEvents

const events: Record<PubSubEvent, true> = {
  claimed: true,
  handled: true,
  failed: true,
  discarded: true,
  leaseLost: true,
  drained: true,
  highWater: true,
  capacity: true,
  error: true,
  connectionLost: true,
  connectionRestored: true,
}
const eventNames = Object.keys(events)

/** Where something is told. */
export type Emitter = Pick<Events, 'emit'>

/** Typed events. An event handler that throws or rejects is logged and harms nobody, nor does a logger that throws. */
export class Events {
  readonly #handlers = new Map<PubSubEvent, Set<(payload: never) => void>>()
  readonly #logger: () => Logger

  constructor(logger: () => Logger) {
    this.#logger = logger
  }

  /** @returns a function that ends the subscription. @throws PGPUBSUB_INVALID_OPTION */
  on<E extends PubSubEvent>(event: E, handler: (payload: PubSubEvents[E]) => void): () => void {
    if (!eventNames.includes(event)) {
      throw invalid(`There is no event ${show(event)}. ${nameMeant(event, eventNames, 'The events are')}`)
    }
    if (typeof handler !== 'function') {
      throw invalid(`on takes a function that is called at each ${show(event)}; it was given ${show(handler)}.`)
    }
    const handlers = this.#handlers.get(event) ?? new Set()
    this.#handlers.set(event, handlers)
    handlers.add(handler)
    return () => void handlers.delete(handler)
  }

  emit<E extends PubSubEvent>(event: E, payload: PubSubEvents[E]): void {
    const handlers = this.#handlers.get(event)
    if (!handlers) return
    for (const handler of [...handlers]) {
      try {
        const returned: unknown = handler(payload as never)
        if (returned instanceof Promise) returned.catch((error: unknown) => this.#threw(event, error))
      } catch (error) {
        this.#threw(event, error)
      }
    }
  }

  #threw(event: PubSubEvent, error: unknown): void {
    try {
      this.#logger().error({ err: error, event }, 'an event handler threw')
    } catch {
      // the logger itself threw: there is nowhere left to say it
    }
  }
}
