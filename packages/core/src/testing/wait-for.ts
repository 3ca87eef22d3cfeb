import type { Change } from '../change.js'
import { checkListenerName, checkOptionNames, invalid, show, timerMilliseconds } from '../check.js'
import { PubSubError } from '../errors.js'
import type { PubSub } from '../pubsub.js'

/** Options of {@link waitFor}. */
export interface WaitForOptions {
  /** Milliseconds after which it is given up. @default 5000 */
  timeoutMs?: number
}

/**
 * Waits for a change that a listener of this engine handles from now on, by a worker, `process()` or `drain()`.
 * @param predicate which one it is to be @default the first
 * @returns the change, once its handler has succeeded and that is committed
 * @throws PGPUBSUB_TIMEOUT, whose cause is the last failure; PGPUBSUB_UNKNOWN_LISTENER, and what the predicate throws
 */
export async function waitFor<C = Change<Record<string, unknown>>>(
  engine: PubSub,
  listener: string,
  predicate: (change: C) => boolean = () => true,
  options: WaitForOptions = {},
): Promise<C> {
  checkOptionNames('waitFor', options, ['timeoutMs'])
  const timeoutMs = timerMilliseconds('waitFor', 'timeoutMs', options.timeoutMs ?? 5_000)
  checkListenerName('waitFor', listener)
  if (typeof predicate !== 'function') {
    throw invalid(
      `waitFor takes a function of a change, which says whether it is the one; it was given ${show(predicate)}.`,
    )
  }
  engine.declared([listener])
  const given = new Map<bigint, C>()
  const others = { handled: 0, failed: 0, last: undefined as unknown }
  const endings: (() => void)[] = []
  try {
    return await new Promise<C>((resolve, reject) => {
      endings.push(
        engine.observe(listener, (change) => given.set(change.id, change as C)),
        engine.on('handled', (event) => {
          const change = event.listener === listener ? given.get(event.id) : undefined
          if (change === undefined) return
          given.delete(event.id)
          others.handled++
          try {
            if (predicate(change)) resolve(change)
          } catch (error) {
            reject(error)
          }
        }),
        engine.on('failed', (event) => {
          if (event.listener !== listener) return
          given.delete(event.id)
          others.failed++
          others.last = event.error
        }),
      )
      const timer = setTimeout(() => reject(timedOut(listener, timeoutMs, others)), timeoutMs)
      endings.push(() => clearTimeout(timer))
    })
  } finally {
    for (const end of endings) end()
  }
}

function timedOut(
  listener: string,
  timeoutMs: number,
  { handled, failed, last }: { handled: number; failed: number; last: unknown },
): PubSubError {
  const nothing = 'It was given nothing: start a worker with listen() in this process, or call drain()'
  const some = `${handled} that it has handled do not fit, and ${failed} attempts have failed`
  return new PubSubError(
    'PGPUBSUB_TIMEOUT',
    `The listener "${listener}" has not handled such a change within ${timeoutMs} ms. ${handled + failed === 0 ? nothing : some}.`,
    { cause: last },
  )
}
