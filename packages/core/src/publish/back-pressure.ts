import { setMaxListeners } from 'node:events'
import { checkOptionNames, positiveInteger, timerMilliseconds } from '../check.js'
import { PubSubError } from '../errors.js'
import { Capacity, type CapacityOptions } from './capacity.js'

/** Options of `waitForCapacity`. */
export interface WaitForCapacityOptions {
  /** Ends the wait: it rejects with the signal's reason. @default none */
  signal?: AbortSignal
  /** Milliseconds after which the wait ends with `PGPUBSUB_TIMEOUT`. @default no limit */
  timeoutMs?: number
  /**
   * How many may be stored, for a program that does not declare the listener, or that stops earlier than others.
   * @default the `highWaterMark` of the listener, as it is declared here
   */
  highWaterMark?: number
}

const optionNames = [
  'signal',
  'timeoutMs',
  'highWaterMark',
] as const satisfies readonly (keyof WaitForCapacityOptions)[]

/** The waiting writers of one `PubSub`. */
export class BackPressure {
  readonly #options: CapacityOptions
  readonly #capacities = new Map<string, Capacity>()
  readonly #closing = closing()

  constructor(options: CapacityOptions) {
    this.#options = options
  }

  /** Looks whether the listener is full, so that the events tell it. */
  async observe(listener: string, highWaterMark: number): Promise<void> {
    await this.#capacity(listener, highWaterMark).observe()
  }

  /**
   * @param writes how many notifications are about to be stored at once
   * @param declared the listener's mark: null where it is declared without one, undefined where it is not declared
   * @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_UNKNOWN_LISTENER, PGPUBSUB_NOT_INSTALLED, PGPUBSUB_TIMEOUT,
   * PGPUBSUB_CLOSED, the signal's reason
   */
  async wait(
    listener: string,
    declared: number | null | undefined,
    options: WaitForCapacityOptions,
    writes = 1,
  ): Promise<void> {
    checkOptionNames('waitForCapacity', options, optionNames)
    const highWaterMark = markOf(listener, declared, options.highWaterMark)
    const { signal, timeoutMs } = options
    const end = new AbortController()
    const aborted = () => end.abort(signal?.reason)
    const closed = () => end.abort(closedError(listener))
    const timer =
      timeoutMs !== undefined &&
      setTimeout(() => end.abort(timeoutError(listener, highWaterMark, timeoutMs)), checkedTimeout(timeoutMs))
    const closing = this.#closing.signal
    if (closing.aborted) closed()
    if (signal?.aborted) aborted()
    signal?.addEventListener('abort', aborted)
    closing.addEventListener('abort', closed)
    try {
      await this.#capacity(listener, highWaterMark).wait(end.signal, writes)
    } finally {
      if (timer) clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      closing.removeEventListener('abort', closed)
    }
  }

  /** Ends every wait. */
  close(): void {
    this.#closing.abort()
  }

  #capacity(listener: string, highWaterMark: number): Capacity {
    const key = `${highWaterMark} ${listener}`
    const known = this.#capacities.get(key)
    if (known) return known
    const capacity = new Capacity(listener, highWaterMark, this.#options)
    this.#capacities.set(key, capacity)
    return capacity
  }
}

/** Every waiting writer listens to it: past ten, Node would take that for a leak. */
function closing(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}

const checkedTimeout = (timeoutMs: number) => timerMilliseconds('waitForCapacity', 'timeoutMs', timeoutMs)

function markOf(listener: string, declared: number | null | undefined, given: number | undefined): number {
  if (given !== undefined) return positiveInteger('waitForCapacity', 'highWaterMark', given)
  if (declared) return declared
  if (declared === null) {
    throw new PubSubError(
      'PGPUBSUB_INVALID_OPTION',
      `The listener "${listener}" has no highWaterMark, so it is never full: declare it with one, or pass { highWaterMark } to waitForCapacity.`,
    )
  }
  throw new PubSubError(
    'PGPUBSUB_UNKNOWN_LISTENER',
    `No listener named "${listener}" is declared here, so its highWaterMark is not known: import the module that declares it, or pass { highWaterMark } to waitForCapacity.`,
  )
}

const timeoutError = (listener: string, highWaterMark: number, timeoutMs: number) =>
  new PubSubError(
    'PGPUBSUB_TIMEOUT',
    `The listener "${listener}" stayed full for ${timeoutMs} ms: more than half of ${highWaterMark} notifications are stored. See status() for whether workers are running, and retry later.`,
  )

const closedError = (listener: string) =>
  new PubSubError('PGPUBSUB_CLOSED', `close() ended the wait for capacity of the listener "${listener}".`)
