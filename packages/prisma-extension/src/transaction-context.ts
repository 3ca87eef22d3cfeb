import { setsContext } from '@pgpubsub/core'

/** What of an operation matters to the context of its transaction. */
export interface ContextualOperation {
  /** The context that it writes with, as JSON, '' for none; undefined where it only reads. */
  readonly json: string | undefined
  /** Its text, where it is a raw one. */
  readonly sql: string | undefined
}

/*
 * The context of one interactive transaction. The setting belongs to the whole transaction, so it is made before the
 * first operation that writes with another context than the one before, and operations of different contexts, which a
 * program may start together, run one after another.
 */
export class TransactionContext {
  readonly #set: (json: string) => PromiseLike<unknown>
  /** What the transaction has; undefined when that is not known. */
  #present: string | undefined = ''
  /** The program set one in SQL: that one holds until the transaction ends. */
  #explicit = false
  readonly #running = new Set<Promise<unknown>>()
  #queue: Promise<void> | undefined

  constructor(set: (json: string) => PromiseLike<unknown>) {
    this.#set = set
  }

  /** Runs an operation of the transaction when the transaction has the operation's context. */
  run<T>(operation: ContextualOperation, query: () => PromiseLike<T>): Promise<T> {
    if (!this.#queue && this.#fits(operation)) return this.#start(operation, query)
    const turn = (this.#queue ?? Promise.resolve()).then(() => this.#makeFit(operation))
    const result = turn.then(() => this.#start(operation, query))
    this.#queue = turn
    turn.then(() => {
      if (this.#queue === turn) this.#queue = undefined
    })
    return result
  }

  /** A part of the transaction was rolled back, and the setting with it. */
  rolledBack(): void {
    this.#present = undefined
    this.#explicit = false
  }

  #fits({ json }: ContextualOperation): boolean {
    return json === undefined || json === this.#present || this.#explicit
  }

  async #makeFit(operation: ContextualOperation): Promise<void> {
    if (this.#fits(operation)) return
    await Promise.allSettled(this.#running)
    if (this.#fits(operation)) return
    try {
      await this.#set(operation.json ?? '')
      this.#present = operation.json
    } catch {
      // the transaction has failed or is closed: the operation itself will say so
      this.#present = undefined
    }
  }

  #start<T>({ sql }: ContextualOperation, query: () => PromiseLike<T>): Promise<T> {
    if (sql !== undefined && setsContext(sql)) this.#explicit = true
    const result = new Promise<T>((resolve, reject) => query().then(resolve, reject))
    const done = () => {
      this.#running.delete(result)
      if (sql !== undefined && rollsBack.test(sql)) this.rolledBack()
    }
    this.#running.add(result)
    result.then(done, done)
    return result
  }
}

const rollsBack = /\brollback\b/i
