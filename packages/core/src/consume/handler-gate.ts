import { PubSubError } from '../errors.js'

/**
 * What a transactional handler does with its `tx` goes through here, and only as long as its attempt lasts: a statement
 * that came later would be done in the savepoint of another handler, or after the commit.
 */
export class HandlerGate {
  readonly #running = new Set<Promise<unknown>>()
  #open = true
  #lastError: unknown

  /** The last error of a statement, whether the handler caught it or not. */
  get lastError(): unknown {
    return this.#lastError
  }

  /** @throws PGPUBSUB_TRANSACTION_OVER when the attempt is over. */
  async run<T>(statement: () => PromiseLike<T>): Promise<T> {
    if (!this.#open) throw transactionOver()
    const running = Promise.resolve(statement())
    this.#running.add(running)
    try {
      return await running
    } catch (error) {
      this.#lastError = error
      throw error
    } finally {
      this.#running.delete(running)
    }
  }

  /** Lets nothing more through, and waits for what runs. */
  async close(): Promise<void> {
    this.#open = false
    await Promise.allSettled(this.#running)
  }
}

const transactionOver = () =>
  new PubSubError(
    'PGPUBSUB_TRANSACTION_OVER',
    'The tx of a handler was used after the handler had ended, or after its attempt had failed. Await everything that is done with it inside the handler, and stop when its signal aborts.',
  )
