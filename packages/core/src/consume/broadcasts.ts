import { PubSubError } from '../errors.js'
import type { Events } from '../events.js'
import type { Listener } from '../listener.js'
import { notifyChannel } from '../publish/notify-channel.js'
import { plainAttempt } from './attempt.js'
import type { StopSignals } from './dispatch.js'
import { type Received, readBroadcast } from './received.js'
import { untilAborted } from './until-aborted.js'
import type { WakeLine } from './wake.js'

export interface BroadcastsOptions {
  readonly listener: Listener
  readonly schema: string
  readonly line: WakeLine
  readonly events: Events
  readonly stop: StopSignals
}

/** As many may wait for a handler in one worker; what comes beyond that is lost, as it is where nobody listens. */
const mostWaiting = 10_000

/**
 * Handles the broadcasts for one listener in one worker, in the order in which they arrive, `concurrency` at once. Nothing is
 * claimed, and nothing tried again.
 */
export class Broadcasts {
  /** Nothing is ever stored. */
  readonly readyAbove = 0n
  readonly #options: BroadcastsOptions
  readonly #waiting: Received[] = []
  readonly #running = new Set<Promise<void>>()
  #overflows = false

  constructor(options: BroadcastsOptions) {
    this.#options = options
    const { line, schema, listener } = options
    line.receives(notifyChannel(schema, listener.definition.name), (payload) => this.#receive(payload))
  }

  /** Runs until stopped, and until what runs has ended or is given up on. */
  async run(): Promise<void> {
    const { draining, abort } = this.#options.stop
    if (!draining.aborted) await new Promise<void>((resolve) => draining.onAbort(resolve))
    this.#waiting.length = 0
    await untilAborted(
      Promise.all(this.#running).then(() => {}),
      abort,
      () => {},
    )
  }

  #receive(payload: string): void {
    const received = this.#options.stop.draining.aborted ? null : readBroadcast(payload)
    if (!received) return
    if (this.#waiting.length < mostWaiting) this.#waiting.push(received)
    else this.#overflow()
    this.#next()
  }

  #next(): void {
    const { concurrency } = this.#options.listener.consume
    while (this.#running.size < concurrency) {
      const received = this.#waiting.shift()
      if (!received) {
        this.#overflows = false
        return
      }
      const running = this.#handle(received).finally(() => {
        this.#running.delete(running)
        this.#next()
      })
      this.#running.add(running)
    }
  }

  async #handle(received: Received): Promise<void> {
    const { listener, events, stop } = this.#options
    const about = { listener: listener.definition.name, id: received.id, attempt: 1 }
    const { failures } = await plainAttempt(listener)([received], stop.abort)
    for (const { error, verdict } of failures) {
      if (verdict.kind === 'discard') events.emit('discarded', { ...about, error })
      else events.emit('failed', { ...about, error, dead: false, broadcast: true })
    }
    if (failures.length === 0) events.emit('handled', about)
  }

  /** Told once, until it has caught up. */
  #overflow(): void {
    if (this.#overflows) return
    this.#overflows = true
    const { name } = this.#options.listener.definition
    const error = new PubSubError(
      'PGPUBSUB_BROADCAST_LOST',
      `Broadcasts for "${name}" are lost: they come faster than its handler, and ${mostWaiting} wait already. Raise its concurrency, or make it durable.`,
    )
    this.#options.events.emit('error', { error, listener: name })
  }
}
