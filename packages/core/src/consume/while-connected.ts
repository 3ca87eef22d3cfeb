import type { StopSignals } from './dispatch.js'
import { Stop } from './stop.js'
import type { BatchTransaction } from './transaction.js'

/**
 * Runs the handlers of a batch with a signal of its own, which aborts with the worker's, and at once when the batch's
 * connection is lost: its locks are gone then, and another worker may handle what it holds, in the order of each row. So
 * nothing more of it is begun, and what runs is given up on.
 */
export async function whileConnected<T>(
  transaction: BatchTransaction,
  worker: StopSignals,
  work: (stop: StopSignals) => Promise<T>,
): Promise<T> {
  const abort = new Stop()
  const isOver = [abort.follow(worker.abort), transaction.onLost(() => abort.abort())]
  try {
    return await work({ draining: worker.draining, abort })
  } finally {
    for (const end of isOver) end()
  }
}
