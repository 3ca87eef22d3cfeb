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

  /**
   * @param sql its text, where it is one of SQL
   * @throws PGPUBSUB_TRANSACTION_OVER when the attempt is over, PGPUBSUB_TRANSACTION_CONTROL when it would end the transaction
   */
  async run<T>(sql: string | undefined, statement: () => PromiseLike<T>): Promise<T> {
    if (!this.#open) throw transactionOver()
    if (sql !== undefined && endsTransaction.test(sql)) throw transactionControl(sql)
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

// the first word of the first statement; a comment before it hides it, and then the batch fails as a whole
const endsTransaction =
  /^\s*(?:commit|end|abort|prepare\s+transaction|rollback(?!\s+(?:work\s+|transaction\s+)?to\b))\b/i

const transactionControl = (sql: string) =>
  new PubSubError(
    'PGPUBSUB_TRANSACTION_CONTROL',
    `A handler's tx does not take ${JSON.stringify(sql.trim().slice(0, 40))}: the transaction is that of the whole batch. Throw to undo what the handler did; return to keep it.`,
  )

const transactionOver = () =>
  new PubSubError(
    'PGPUBSUB_TRANSACTION_OVER',
    'The tx of a handler was used after the handler had ended, or after its attempt had failed. Await everything that is done with it inside the handler, and stop when its signal aborts.',
  )
