import pg from 'pg'

/**
 * Tells how long claims take: from when a transaction has begun until the last answer of the server before its first
 * handler. For a worker whose statements are sent one after another, in transactions that come one after another.
 */
export class ClaimClock {
  /** Milliseconds of each claim that took `size` notifications. */
  readonly times: number[] = []
  readonly #size: number
  #begunAt = 0
  #answeredAt = 0
  #claimedIn = 0
  #handled = 0

  constructor(size: number) {
    this.#size = size
  }

  /** A pool whose connections are watched. */
  poolOn(url: string): pg.Pool & AsyncDisposable {
    const answered = (text: string) => this.#answered(text)
    const Client = class extends pg.Client {
      // biome-ignore lint/suspicious/noExplicitAny: pg.Client.query has a dozen signatures
      override query(...args: [any, ...any[]]): any {
        const text: string = args[0].text ?? args[0]
        // biome-ignore lint/suspicious/noExplicitAny: as above
        const answer = super.query(...(args as [any]))
        if (answer instanceof Promise) answer.then(() => answered(text)).catch(() => {})
        return answer
      }
    }
    const pool = new pg.Pool({ connectionString: url, Client })
    return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.end() })
  }

  /** To be called by each handler. */
  handled(): void {
    if (++this.#handled === 1) this.#claimedIn = this.#answeredAt - this.#begunAt
  }

  #answered(text: string): void {
    this.#answeredAt = performance.now()
    if (text.startsWith('begin')) {
      this.#begunAt = this.#answeredAt
      this.#handled = 0
    }
    if (text === 'commit' && this.#handled === this.#size) this.times.push(this.#claimedIn)
  }
}
