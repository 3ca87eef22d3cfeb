import { checkOptionNames, invalid, positiveInteger, show, timerMilliseconds } from './check.js'
import type { ConsumeOptions } from './listener.js'
import type { ListenerOptions } from './options.js'

export type Handling = Pick<ConsumeOptions, 'transactional' | 'leaseMs' | 'batch'>

/**
 * Checks what decides how and with what the handler is called.
 * @throws PGPUBSUB_INVALID_OPTION
 */
export function resolveHandling(where: string, options: ListenerOptions): Handling {
  const { transactional = false, lease, batch } = options
  if (typeof transactional !== 'boolean') {
    throw invalid(`transactional of ${where} must be true or false; it is ${show(transactional)}.`)
  }
  if (transactional && lease !== undefined) {
    throw invalid(
      `${where} is transactional and has a lease: the one keeps a transaction open while the handler runs, the other does without. Choose one.`,
    )
  }
  if (lease !== undefined && options.batchSize !== undefined) {
    throw invalid(
      `${where} has a lease and batchSize: with a lease, a worker claims as many as it has handlers free. Set concurrency instead.`,
    )
  }
  if (transactional && options.concurrency !== undefined && options.concurrency > 1) {
    throw invalid(
      `concurrency of ${where} can only be 1: transactional handlers of a worker run one after another, in one transaction. Start more workers instead.`,
    )
  }
  return { transactional, leaseMs: leaseMilliseconds(where, lease), batch: batchSettings(where, batch, options) }
}

function leaseMilliseconds(where: string, lease: unknown): number | null {
  if (lease === undefined) return null
  checkOptionNames(`lease of ${where}`, lease, ['seconds'])
  const { seconds } = lease as { seconds?: unknown }
  if (typeof seconds === 'number' && seconds >= 1 && seconds <= 86_400) return seconds * 1_000
  throw invalid(`seconds in lease of ${where} must be a number from 1 to 86400, a day; it is ${show(seconds)}.`)
}

function batchSettings(where: string, batch: unknown, options: ListenerOptions): Handling['batch'] {
  if (batch === undefined) return null
  checkOptionNames(`batch of ${where}`, batch, ['size', 'maxWaitMs'])
  const other = (['batchSize', 'concurrency'] as const).find((option) => options[option] !== undefined)
  if (other) {
    throw invalid(
      `${where} has batch and ${other}: each call takes batch.size changes, and one call runs at a time in each worker. Leave ${other} out.`,
    )
  }
  const { size, maxWaitMs = 0 } = batch as { size?: unknown; maxWaitMs?: unknown }
  const most = positiveInteger(`batch of ${where}`, 'size', size)
  if (maxWaitMs === 0) return { size: most, maxWaitMs }
  return { size: most, maxWaitMs: timerMilliseconds(`batch of ${where}`, 'maxWaitMs', maxWaitMs) }
}
