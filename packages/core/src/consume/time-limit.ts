import { PubSubError } from '../errors.js'
import { Stop } from './stop.js'

/**
 * Runs `work` with a signal that aborts with `outer`, or after `milliseconds`: then the work has failed, and what still
 * comes of it, where it does not heed its signal, has no effect.
 */
export async function withinTimeLimit<T>(
  milliseconds: number,
  outer: Stop,
  work: (own: Stop) => T,
): Promise<Awaited<T>> {
  const own = new Stop()
  const isOver = own.follow(outer)
  let timer: NodeJS.Timeout | undefined
  const tooLong = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = timedOut(milliseconds)
      // first: what the handler throws when its signal aborts is not the reason
      reject(error)
      own.abort(error)
    }, milliseconds)
  })
  try {
    return await Promise.race([work(own), tooLong])
  } finally {
    clearTimeout(timer)
    isOver()
  }
}

const timedOut = (milliseconds: number) =>
  new PubSubError(
    'PGPUBSUB_TIMEOUT',
    `The handler ran for longer than its timeoutMs, ${milliseconds} ms. Its signal was aborted and the attempt has failed.`,
  )
