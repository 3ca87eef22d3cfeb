import { PubSubError } from '../errors.js'
import { HandlerGate } from './handler-gate.js'
import type { BatchTransaction } from './transaction.js'

/** What a handler, or what stopped it, has thrown; every other error is one of the transaction itself. */
export class HandlerFailed {
  readonly error: unknown

  constructor(error: unknown) {
    this.error = error
  }
}

/**
 * Runs a handler with `tx` on the transaction, in a savepoint: what it did stays when it succeeds, and is undone when it
 * fails, also when it has caught an error of SQL itself and returned: PostgreSQL has undone a part then, or would at the
 * commit.
 * @throws HandlerFailed when the attempt has failed and is undone
 */
export async function inSavepoint(
  transaction: BatchTransaction,
  handle: (tx: unknown) => Promise<void>,
): Promise<void> {
  const gate = new HandlerGate()
  await transaction.query('savepoint pgpubsub_handler')
  const failed = await transaction.lend(gate, handle).then(
    () => null,
    (error: unknown) => new HandlerFailed(error),
  )
  await gate.close()
  const refused = failed ?? (await release(transaction, gate))
  if (!refused) return
  await transaction.query('rollback to savepoint pgpubsub_handler')
  throw refused
}

/** In a transaction that has failed, there is no statement that succeeds but a rollback. */
function release(transaction: BatchTransaction, gate: HandlerGate): Promise<HandlerFailed | null> {
  return transaction.query('release savepoint pgpubsub_handler').then(
    () => null,
    (cause: unknown) => new HandlerFailed(swallowed(gate.lastError ?? cause)),
  )
}

function swallowed(cause: unknown): PubSubError {
  const message = cause instanceof Error ? cause.message : String(cause)
  return new PubSubError(
    'PGPUBSUB_SWALLOWED_ERROR',
    `The handler has caught an error of SQL on its tx and returned, so that PostgreSQL would have undone what it did before: let the error through, or set a savepoint (tx.$transaction) around what may fail. The error was: ${message}`,
    { cause },
  )
}
