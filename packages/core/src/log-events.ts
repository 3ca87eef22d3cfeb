import type { Events } from './events.js'
import type { Logger } from './logger.js'

/** Writes what the engine tells about itself to whichever logger is the current one. */
export function logEvents(events: Events, logger: () => Logger): void {
  events.on('failed', ({ error, dead, broadcast, ...where }) => {
    if (dead) logger().error({ err: error, ...where }, 'the last attempt failed: a dead letter')
    else if (broadcast) logger().error({ err: error, ...where }, 'the handler of a broadcast failed')
    else logger().warn({ err: error, ...where }, 'an attempt failed, and will be repeated')
  })
  events.on('handled', (where) => logger().debug(where, 'handled'))
  events.on('discarded', ({ error, ...where }) => logger().info({ err: error, ...where }, 'discarded by its handler'))
  events.on('leaseLost', (where) =>
    logger().warn(where, 'the lease lapsed while the handler ran; another worker has it'),
  )
  events.on('highWater', (where) => logger().warn(where, 'full: more is stored than its workers can keep up with'))
  events.on('capacity', (where) => logger().info(where, 'no longer full'))
  events.on('error', ({ error, listener }) =>
    logger().error({ err: error, listener }, 'failed, and will be tried again'),
  )
  events.on('connectionLost', ({ error }) => logger().warn({ err: error }, 'lost the LISTEN connection; reconnecting'))
  events.on('connectionRestored', () => logger().info({}, 'the LISTEN connection is back'))
}
