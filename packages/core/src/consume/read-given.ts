import type { Listener } from '../listener.js'
import { checked } from './check-change.js'
import type { Claimed } from './claim.js'
import type { Stop } from './stop.js'
import { toGiven } from './to-change.js'
import { upcasted } from './upcast.js'

/** What a handler is given. */
export type HandlersOwn = ReturnType<typeof toGiven>

/**
 * The stored notification as its handler is given it; a promise where the listener's schema checks asynchronously. Throws what is
 * wrong with it.
 */
export function readGiven(
  listener: Listener,
  stored: Claimed,
  stop: Stop,
  tx: unknown,
): HandlersOwn | Promise<HandlersOwn> {
  const { upcast, schema } = listener.consume
  const present = upcast && stored.storedBy !== undefined ? upcasted(listener, upcast, stored, stored.storedBy) : stored
  const given = toGiven(listener, present, stop, tx)
  return schema ? checked(given, schema) : given
}
