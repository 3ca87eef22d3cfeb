import { setTimeout as pass } from 'node:timers/promises'
import { reconnectBackoff } from './backoff.js'
import { Batches, type BatchOptions, type BatchResult, type BatchSource, isWork } from './batch.js'
import { keptMs } from './kept-connection.js'
import { LeasedBatches } from './leased-batches.js'
import { Signal } from './signal.js'
import type { Asleep, WakeLine } from './wake.js'
import type { Writers } from './writers.js'

export interface ConsumerOptions extends Omit<BatchOptions, 'sweepMs' | 'allowance' | 'onMore' | 'onWork'> {
  readonly line: WakeLine
  /** Milliseconds after which a sleeping worker looks by itself. */
  readonly pollMs: number
}

// Changes that come faster than this many milliseconds one after another are let gather for as long: waking up and
// falling asleep for each would cost the server more than the writers' own work.
const flowMs = 4

/** Where they come faster, longer, so that writers have the machine for themselves: up to 25 ms from 50 at once. */
const gatherMs = (count: number) => Math.min(Math.max(count / 2, flowMs), 25)

// How long what a writer stored before we fell asleep may wait after its commit, where that writer took long.
const longestLookMs = 250

/**
 * Who has worked within so many milliseconds sleeps with its next claim made up, so that it has only to be sent: to make it up
 * takes half as long as the server takes for it, after a sleep. The time for its answer runs meanwhile, and most of it is left.
 */
const preparedMs = (answerMs: number) => Math.min(keptMs, answerMs / 3)

/** How often others are told that there is more than one claim takes, in milliseconds. */
const betweenWakesMs = 100

/**
 * Consumes the notifications of one listener in one worker, until it is stopped.
 *
 *   drain: batch after batch ─► nothing left, or paused ─► sleep, with the next claim made up ─► drain …
 *                                                          until NOTIFY, next retry, slow poll
 */
export class Consumer {
  readonly #options: ConsumerOptions
  readonly #signal = new Signal()
  readonly #batches: BatchSource
  #blockedRounds = 0
  #paused = false
  #lastWorkAt = 0
  /** Something was handled since `drained` was last told. */
  #handledSome = false
  #wakingOthers: NodeJS.Timeout | null = null
  #othersWokenAt = 0
  /** While it is declared asleep, writers notify. */
  #asleep: Asleep | null = null

  constructor(options: ConsumerOptions) {
    this.#options = options
    const { leaseMs } = options.listener.consume
    const batches = {
      ...options,
      sweepMs: options.pollMs,
      allowance: null,
      onMore: () => this.#wakeOthersSoon(),
      onWork: () => this.#wakeUp(),
    }
    const onFree = () => this.#signal.set()
    this.#batches = leaseMs === null ? new Batches(batches) : new LeasedBatches({ ...batches, onFree }, leaseMs)
    options.line.wakes(this.#name, this.#signal)
    options.stop.draining.onAbort(() => this.#signal.set())
  }

  get #name(): string {
    return this.#options.listener.definition.name
  }

  /** Every ready notification has an id above this. */
  get readyAbove(): bigint {
    return this.#batches.start
  }

  get #stopping(): boolean {
    return this.#options.stop.draining.aborted
  }

  get #sleepsByNotify(): boolean {
    return this.#options.listener.definition.wake === 'idle'
  }

  /** Runs until stopped. Errors of the database are reported, and tried again after a growing while. */
  async run(): Promise<void> {
    for (let failures = 0; !this.#stopping; ) {
      try {
        await this.#drain()
        failures = 0
        if (!this.#stopping) await this.#sleep()
      } catch (error) {
        this.#wakeUp()
        this.#batches.forget()
        this.#options.events.emit('error', { error, listener: this.#name })
        if (!this.#stopping) await this.#signal.wait(reconnectBackoff(++failures))
      }
    }
    this.#wakeUp()
    await this.#batches.end()
    clearTimeout(this.#wakingOthers ?? undefined)
    // what goes back, and what waits for its retry, others may not know of
    await this.#wakeOthers()
  }

  async #drain(): Promise<void> {
    for (let more = true; more && !this.#stopping; ) {
      this.#signal.clear()
      const flows = performance.now() - this.#lastWorkAt < flowMs
      const result = await this.#batch()
      this.#wakeUp()
      // what the next claim would do first is done now, when nobody waits for it
      const asksAgain = flows || !this.#sleepsByNotify || this.#batches.isSweepDue
      more = result === 'full' || (result === 'part' && asksAgain)
      if (result === 'part' && flows) {
        await pass(gatherMs(this.#batches.lastCount))
        this.#lastWorkAt = performance.now()
      }
    }
    if (!this.#handledSome || !this.#batches.isIdle || this.#paused || this.#stopping) return
    this.#handledSome = false
    this.#options.events.emit('drained', { listener: this.#name })
  }

  async #batch(): Promise<BatchResult> {
    const result = await this.#batches.next()
    this.#paused = result === 'paused'
    this.#blockedRounds = result === 'blocked' ? this.#blockedRounds + 1 : 0
    if (isWork(result)) {
      this.#handledSome = true
      this.#lastWorkAt = performance.now()
    }
    return result
  }

  async #sleep(): Promise<void> {
    // who is not declared asleep is not woken for each change; resume() notifies in any case
    if (this.#paused) return this.#signal.wait(this.#options.pollMs)
    const asleep = this.#sleepsByNotify ? await this.#options.line.fallAsleep(this.#name) : null
    if (!asleep) return this.#wait()
    this.#asleep = asleep
    // it stays declared until the first claim has been made: the claim comes first
    if (await this.#nothingLeft(asleep)) await this.#wait()
  }

  /** Until it is told, or it is time to look. */
  async #wait(): Promise<void> {
    const longest = preparedMs(this.#options.statements.answerMs)
    const isUsual = this.#blockedRounds === 0 && this.#batches.untilRetry === null
    const isActive = performance.now() - this.#lastWorkAt < longest
    const send = isUsual && isActive ? this.#batches.prepare() : null
    await this.#signal.wait(Math.min(this.#timeToSleep(), send ? longest : Number.POSITIVE_INFINITY))
    send?.()
  }

  #wakeUp(): void {
    const asleep = this.#asleep
    this.#asleep = null
    if (asleep) void this.#inBackground(() => asleep.wakeUp())
  }

  /** Looks until no writer is left that may not have seen us fall asleep. False as soon as there was work. */
  async #nothingLeft(asleep: Asleep): Promise<boolean> {
    let writers: Writers = asleep.writers
    for (let pause = 1; !this.#stopping; pause = Math.min(pause * 2, longestLookMs)) {
      const none = writers.size === 0
      // told since it last looked: it may be of a retry, which is no new notification
      const told = this.#signal.isSet
      this.#signal.clear()
      if ((told || (await this.#anythingStored(asleep))) && isWork(await this.#batch())) return false
      if (none) return true
      await this.#signal.wait(pause)
      writers = await asleep.stillWriting(writers)
    }
    return false
  }

  /** Also what was put off or handed back since the last claim, by a worker that saw nobody asleep. */
  async #anythingStored(asleep: Asleep): Promise<boolean> {
    const { ready, untilRetry } = await asleep.look(this.#batches.start)
    if (untilRetry === null) return ready
    this.#batches.retryIn(untilRetry)
    return ready || untilRetry <= 0
  }

  /** Until the slow poll, the next retry, or, where others hold what there is, soon: they may die with it. */
  #timeToSleep(): number {
    const { pollMs } = this.#options
    const untilRetry = this.#batches.untilRetry ?? pollMs
    if (this.#blockedRounds === 0) return Math.min(pollMs, untilRetry)
    const untilUnblocked = 20 * 2 ** Math.min(this.#blockedRounds, 5)
    // a retry that is due and was not claimed is with another worker too
    return Math.min(pollMs, untilRetry || pollMs, untilUnblocked)
  }

  /** After a moment, where they were just told: small batches follow each other faster than others can wake up. */
  #wakeOthersSoon(): void {
    this.#wakingOthers ??= setTimeout(
      () => {
        this.#wakingOthers = null
        this.#othersWokenAt = performance.now()
        void this.#wakeOthers()
      },
      this.#othersWokenAt + betweenWakesMs - performance.now(),
    )
  }

  #wakeOthers(): Promise<void> {
    return this.#inBackground(() => this.#options.line.wakeOthers(this.#name))
  }

  async #inBackground(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#options.events.emit('error', { error, listener: this.#name })
    }
  }
}
