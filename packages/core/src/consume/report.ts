import type { Emitter } from '../events.js'
import type { Failure } from './attempt.js'
import type { Claimed } from './claim.js'
import type { Outcome } from './dispatch.js'

/** Tells the events of a batch that has been committed. */
export function report(events: Emitter, listener: string, outcome: Outcome, dead: readonly Failure[]): void {
  const about = ({ id, attempts }: Claimed) => ({ listener, id, attempt: attempts + 1 })
  for (const notification of outcome.done) events.emit('handled', about(notification))
  for (const { notification, error } of outcome.discarded) events.emit('discarded', { ...about(notification), error })
  for (const failure of outcome.failures) {
    const { notification, error } = failure
    events.emit('failed', { ...about(notification), error, dead: dead.includes(failure) })
  }
}
