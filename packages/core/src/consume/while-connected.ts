import { setMaxListeners } from 'node:events'
import type { StopSignals } from './dispatch.js'
import type { BatchTransaction } from './transaction.js'

/**
 * Runs the handlers of a batch with signals of its own, which abort with the worker's, and at once when the batch's
 * connection is lost: its locks are gone then, and another worker may handle what it holds, in the order of each row. So
 * nothing more of it is begun, and what runs is given up on.
 */
export async function whileConnected<T>(
  transaction: BatchTransaction,
  worker: StopSignals,
  work: (stop: StopSignals) => Promise<T>,
): Promise<T> {
  const draining = new AbortController()
  const abort = new AbortController()
  // handlers add theirs, as many as run at once
  setMaxListeners(0, draining.signal, abort.signal)
  const drain = () => draining.abort()
  const giveUp = () => abort.abort()
  const lost = () => {
    drain()
    giveUp()
  }
  if (worker.draining.aborted) drain()
  if (worker.abort.aborted) giveUp()
  worker.draining.addEventListener('abort', drain)
  worker.abort.addEventListener('abort', giveUp)
  const isOver = transaction.onLost(lost)
  try {
    return await work({ draining: draining.signal, abort: abort.signal })
  } finally {
    worker.draining.removeEventListener('abort', drain)
    worker.abort.removeEventListener('abort', giveUp)
    isOver()
  }
}
