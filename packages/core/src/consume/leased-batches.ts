import { setTimeout as pass } from 'node:timers/promises'
import { type Attempt, type Attempted, type Call, plainAttempt } from './attempt.js'
import { reconnectBackoff } from './backoff.js'
import type { BatchOptions, BatchResult, BatchSource } from './batch.js'
import type { Claimed } from './claim.js'
import { goneOf, type Outcome, recorded } from './dispatch.js'
import { Heartbeat, type Running } from './heartbeat.js'
import { type ClaimedBatch, Intake } from './intake.js'
import { Leases } from './lease.js'
import { report } from './report.js'
import { type Settled, Settler } from './settle.js'
import { Stop } from './stop.js'
import { type BatchTransaction, inTransaction, poolTransactions, type TransactionSource } from './transaction.js'
import { untilAborted } from './until-aborted.js'

/**
 * The batches of a listener with leases in one worker: each is claimed and leased in one transaction, handled without
 * any, and acknowledged in another. Handlers run in slots; as soon as one is free, the next notification is claimed.
 */
export class LeasedBatches implements BatchSource {
  readonly #options: BatchOptions & { readonly onFree: () => void }
  readonly #transactions: TransactionSource
  readonly #intake: Intake
  readonly #settler: Settler
  readonly #leases: Leases
  readonly #heartbeat: Heartbeat
  readonly #attempt: Attempt
  readonly #leaseMs: number
  #lastCount = 0
  readonly #running = new Map<Running, Promise<void>>()

  constructor(options: BatchOptions & { readonly onFree: () => void }, leaseMs: number) {
    this.#options = options
    const { listener, schema, statements, pool } = options
    this.#leaseMs = leaseMs
    this.#transactions = poolTransactions(pool, statements.answerMs)
    this.#settler = new Settler(schema, listener, statements)
    this.#intake = new Intake(options, this.#transactions, this.#settler)
    this.#leases = new Leases(schema, this.#name, leaseMs, statements)
    this.#heartbeat = new Heartbeat({
      running: this.#running,
      leaseMs,
      prolong: (ids, leases) => inTransaction(this.#transactions, (db) => this.#leases.prolong(db, ids, leases)),
      onError: (error) => options.events.emit('error', { error, listener: this.#name }),
    })
    this.#attempt = plainAttempt(listener)
  }

  get start(): bigint {
    return this.#intake.start
  }

  get lastCount(): number {
    return this.#lastCount
  }

  get isSweepDue(): boolean {
    return this.#intake.isSweepDue
  }

  get untilRetry(): number | null {
    return this.#intake.nextRetry.until
  }

  retryIn(milliseconds: number): void {
    this.#intake.nextRetry.notLaterThan(milliseconds)
  }

  forget(): void {
    this.#intake.forget()
  }

  get isIdle(): boolean {
    return this.#running.size === 0
  }

  /** It is claimed in a transaction that is over before handlers begin, and others may run meanwhile. */
  prepare(): null {
    return null
  }

  /** Claims and leases as many as there are free slots, and begins their handlers. */
  async next(): Promise<BatchResult> {
    const { batch, concurrency } = this.#options.listener.consume
    const slots = batch ? 1 : concurrency
    await this.#fewerThan(slots)
    const claimed = await this.#intake.claim(batch?.size ?? slots - this.#running.size)
    if (typeof claimed === 'string') return claimed
    try {
      return await this.#lease(claimed)
    } finally {
      claimed.transaction.end()
    }
  }

  async #lease({ transaction, notifications, waiting, more }: ClaimedBatch): Promise<BatchResult> {
    const alone = notifications[0]?.alone
    // it may have killed a worker: nothing else shall be running when it does so again
    if (alone && !this.isIdle) return this.#later(transaction)
    const calls = this.#calls(notifications)
    const leased = calls.flat()
    const lapsesAt = performance.now() + this.#leaseMs
    this.#lastCount = leased.length
    const lease = await this.#leases.take(transaction, waiting, leased)
    await transaction.commit()
    for (const call of calls) this.#begin({ call, lease, lapsesAt, abort: new Stop(), settling: false })
    if (alone) await this.#fewerThan(1)
    return more || leased.length < notifications.length ? 'full' : 'part'
  }

  async #later(transaction: BatchTransaction): Promise<BatchResult> {
    await transaction.commit()
    await this.#fewerThan(1)
    return 'full'
  }

  /** One call for each notification; of each key only the oldest, since no other may run beside it. */
  #calls(notifications: readonly Claimed[]): Call[] {
    if (this.#options.listener.consume.batch) return [notifications]
    const keys = new Set<string>()
    return notifications.filter(({ key }) => key === null || (!keys.has(key) && keys.add(key))).map((first) => [first])
  }

  /** Waits until fewer than `count` handlers run, or the worker gives up on them. */
  async #fewerThan(count: number): Promise<void> {
    while (this.#running.size >= count && !this.#options.stop.abort.aborted) {
      await untilAborted(Promise.race(this.#running.values()), this.#options.stop.abort, () => {})
    }
  }

  #begin(running: Running): void {
    this.#heartbeat.begin()
    const over = this.#run(running).finally(() => {
      this.#running.delete(running)
      if (this.isIdle) this.#heartbeat.end()
      this.#options.onFree()
    })
    this.#running.set(running, over)
  }

  async #run(running: Running): Promise<void> {
    const { stop } = this.#options
    const isOver = running.abort.follow(stop.abort)
    try {
      const attempted = await this.#attempt(running.call, running.abort)
      // given up on: it goes back unharmed, see end()
      if (!stop.abort.aborted) await this.#acknowledge(running, attempted)
    } finally {
      isOver()
    }
  }

  /** Tries as long as the lease lasts. After that, another worker handles the notifications again. */
  async #acknowledge(running: Running, attempted: Attempted): Promise<void> {
    const { events, stop } = this.#options
    for (let failures = 0; ; ) {
      try {
        running.settling = true
        return await this.#settle(running, attempted)
      } catch (error) {
        running.settling = false
        events.emit('error', { error, listener: this.#name })
        if (stop.abort.aborted) return
        if (performance.now() > running.lapsesAt) return this.#lost(running.call)
        await pass(reconnectBackoff(++failures), null, { signal: stop.abort.signal }).catch(() => {})
      }
    }
  }

  async #settle({ call, lease }: Running, attempted: Attempted): Promise<void> {
    const outcome = recorded(attempted)
    const settled = await inTransaction(this.#transactions, (db) => this.#write(db, lease, call, outcome))
    this.#intake.nextRetry.unknown()
    const lost = new Set(settled.lost)
    const mine = ({ notification }: { notification: Claimed }) => !lost.has(notification)
    const kept = {
      done: outcome.done.filter((notification) => !lost.has(notification)),
      discarded: outcome.discarded.filter(mine),
      failures: outcome.failures.filter(mine),
    }
    report(this.#options.events, this.#name, kept, settled.dead)
    this.#lost(settled.lost)
  }

  async #write(db: BatchTransaction, lease: string, call: Call, outcome: Outcome): Promise<Settled> {
    const place = { waiting: true, lease }
    const gone = goneOf(outcome)
    const failed = outcome.failures.map(({ notification }) => notification)
    const lost = await this.#settler.done(db, place, gone)
    const settled = await this.#settler.failed(db, place, outcome.failures)
    const settledOnes = new Set([...gone, ...failed])
    const back = call.filter((notification) => !settledOnes.has(notification))
    await this.#settler.handBack(db, place, back, null)
    return { dead: settled.dead, lost: [...lost, ...settled.lost] }
  }

  #lost(notifications: readonly Claimed[]): void {
    for (const { id, attempts } of notifications) {
      this.#options.events.emit('leaseLost', { listener: this.#name, id, attempt: attempts + 1 })
    }
  }

  /** Waits for the handlers that run. What is given up on goes back as it was, for other workers to take at once. */
  async end(): Promise<void> {
    await this.#fewerThan(1)
    this.#heartbeat.end()
    await this.#handBackAll([...this.#running.keys()])
    this.#transactions.end?.()
  }

  async #handBackAll(left: readonly Running[]): Promise<void> {
    if (left.length === 0) return
    try {
      await inTransaction(this.#transactions, async (db) => {
        for (const { call, lease } of left) await this.#settler.handBack(db, { waiting: true, lease }, call, null)
      })
    } catch (error) {
      // their leases lapse
      this.#options.events.emit('error', { error, listener: this.#name })
    }
  }

  get #name(): string {
    return this.#options.listener.definition.name
  }
}
