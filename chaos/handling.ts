import { setTimeout as sleep } from 'node:timers/promises'
import { Discard, DoNotRetry, type PostChange, RetryAt } from '@pgpubsub/prisma-extension'
import type { MediaClient } from '../bench/media-client.ts'
import { shareOf } from './random.ts'
import type { Record, RunEnd, WorkerLine } from './record.ts'

type ChaosChange = PostChange<MediaClient['media']>

/** What of a transaction client is used here. */
interface Transaction {
  $executeRawUnsafe(sql: string, ...values: unknown[]): PromiseLike<number>
}

/** What a handler does with the changes of one call. */
export type Handle = (listener: string, changes: readonly ChaosChange[], tx?: Transaction) => Promise<void>

/** How long a hopeless change stays so. */
const hopelessMs = 60_000

/** What handlers do: they write down that they begin and end, and in between some fail, hang or take long. */
export class Handling {
  /** From now on every handler succeeds. */
  calm = false
  readonly #record: Record<WorkerLine>
  readonly #worker: string
  #runs = 0
  #calls = 0

  constructor(record: Record<WorkerLine>, worker: string) {
    this.#record = record
    this.#worker = worker
  }

  readonly handle: Handle = async (listener, changes, tx) => {
    const runs = this.#begin(listener, changes)
    const end = (how: RunEnd) => {
      for (const run of runs.splice(0)) this.#record.write({ is: 'end', run, how })
    }
    const [{ signal }] = changes as [ChaosChange]
    // at once, and not when what it waits for has ended: the next run of the change may begin from now on
    const abort = () => end('aborted')
    signal.addEventListener('abort', abort, { once: true })
    try {
      if (tx) await this.#writeEffects(tx, listener, changes)
      await this.#behave(listener, changes[0] as ChaosChange, tx !== undefined)
      end('done')
    } catch (error) {
      end(error instanceof Discard ? 'done' : error instanceof DoNotRetry ? 'buried' : 'failed')
      throw error
    } finally {
      signal.removeEventListener('abort', abort)
    }
  }

  #begin(listener: string, changes: readonly ChaosChange[]): number[] {
    const call = ++this.#calls
    return changes.map((change) => {
      const run = ++this.#runs
      const { id, attempt, context, old } = change
      const before = old?.title ?? null
      const contextMark = String(context.mark ?? '')
      const row = (change.new ?? change.old).id
      const of = { listener, id: String(id), row, version: versionOf(change), before, contextMark, attempt }
      this.#record.write({ is: 'begin', run, call, ...of })
      return run
    })
  }

  async #behave(listener: string, change: ChaosChange, hasEffect: boolean): Promise<void> {
    const { signal, attempt, createdAt } = change
    signal.throwIfAborted()
    if (this.calm) return
    const version = versionOf(change)
    const isHopeless = shareOf(`${listener} ${version}`) < 0.004 && Date.now() - createdAt.getTime() < hopelessMs
    if (isHopeless) throw new DoNotRetry('hopeless for now')
    const share = shareOf(`${listener} ${version} ${attempt}`)
    if (share < 0.3) return
    if (share < 0.6) return sleep(1 + share * 5, undefined, { signal })
    if (share < 0.603) return sleep(50 + share * 400, undefined, { signal })
    if (attempt > 3) return
    if (share < 0.63) throw new Error('failed at random')
    if (share < 0.635) throw new RetryAt({ afterMs: 100 })
    // what it has written is discarded too
    if (share < 0.64 && !hasEffect) throw new Discard('nothing to do')
    // until its time is over
    if (share > 0.9995 && attempt === 1) await sleep(60_000, undefined, { signal })
  }

  async #writeEffects(tx: Transaction, listener: string, changes: readonly ChaosChange[]): Promise<void> {
    for (const change of changes) {
      const sql = 'insert into chaos.effect (listener, version, worker) values ($1, $2, $3)'
      await tx.$executeRawUnsafe(sql, listener, versionOf(change), this.#worker)
    }
  }
}

/** As the audit has it. */
const versionOf = (change: ChaosChange): string =>
  change.new === null ? `deleted ${change.old.title}` : String(change.new.title)
