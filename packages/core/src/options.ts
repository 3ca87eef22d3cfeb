import {
  checkName,
  checkOptionNames,
  invalid,
  oneOf,
  positiveInteger,
  show,
  timerMilliseconds,
  withoutUndefined,
} from './check.js'
import { backoffFrom } from './consume/backoff.js'
import { checkBroadcastOptions, type Delivery, deliveries } from './delivery.js'
import { mostDelayMs } from './handler-errors.js'
import { type Handling, resolveHandling } from './handling.js'
import {
  type Backoff,
  type BackoffSettings,
  type ConsumeOptions,
  type OrderMode,
  orderModes,
  type WakeMode,
  wakeModes,
} from './listener.js'
import { type Reading, resolveReading } from './reading.js'
import type { StandardSchema } from './standard-schema.js'
import type { Upcast } from './stored-change.js'

/** Options that every listener takes, whatever it listens to. */
export interface ListenerOptions {
  /**
   * Identity of the listener and its queue: unique, at most 63 bytes. It outlives deploys: rename it and its waiting
   * notifications stay behind under the old name.
   */
  name: string
  /**
   * `'row'`: the changes of one row are handled one after another in the order of their commits, different rows in
   * parallel. A table without a key is handled as if it were one row. `'none'`: in any order.
   * @default 'row'
   */
  order?: OrderMode
  /**
   * When the trigger wakes workers: `'idle'` only those that sleep; `'always'` at every change (slows down concurrent
   * writers); `'never'`: workers find changes by their slow poll.
   * @default 'idle'
   */
  wake?: WakeMode
  /**
   * The most notifications that one claim takes. Claims start small and grow to this while handlers are fast, so that a
   * crash repeats little.
   * @default 1000
   */
  batchSize?: number
  /**
   * The most handlers that run at once in one worker. One, where they are transactional or given lists.
   * @default 10
   */
  concurrency?: number
  /**
   * Failed attempts after which the notification becomes a dead letter.
   * @default 20
   */
  attempts?: number
  /**
   * How long the next attempt waits: settings, or a function of how many have failed that returns milliseconds.
   * @default { type: 'exponential', firstMs: 1000, mostMs: 3600000, jitter: 0.25 }: about 1 s, 2 s, 4 s … at most 1 h
   */
  backoff?: Backoff | BackoffSettings
  /**
   * Milliseconds that one attempt may take: then its `signal` aborts and it has failed. A handler that does not heed its
   * signal is given up on: it runs on, maybe beside the next attempt, and what comes of it has no effect.
   * @default no limit
   */
  timeoutMs?: number
  /**
   * The handler is given `tx`, the transaction that also deletes the notification: what it writes there is done exactly
   * once, whatever fails. Handlers of a worker run one after another then, each in a savepoint of its own; those of other
   * workers beside them.
   * @default false
   */
  transactional?: boolean
  /**
   * For handlers that take long: no transaction is open while they run. A notification belongs to its worker for so
   * long, and a heartbeat prolongs that; when the worker hangs or dies, another takes over when it is over. Up to
   * `concurrency` of them run at once in one worker.
   * @default the transaction that deletes the notification is open while its handler runs
   */
  lease?: { readonly seconds: number }
  /**
   * The handler is given a list of changes: up to `size`, or what there is when the oldest has waited for `maxWaitMs`.
   * When it throws, all of them have failed; it may throw `FailedChanges` to say which.
   * @default one change at a time
   */
  batch?: {
    /** The most changes in one call. */
    readonly size: number
    /** Milliseconds that the oldest may wait for the list to fill. @default 0 */
    readonly maxWaitMs?: number
  }
  /**
   * `'broadcast'`: sent to every worker that listens at that moment, whichever process it runs in, after the commit. Nothing
   * is stored, so that it is lost to who does not listen, and neither ordered nor tried again.
   * @default 'durable'
   */
  delivery?: Delivery
  /**
   * What a stored change must satisfy: a schema of zod 4, or of any library of the Standard Schema. It is given the change, and what
   * it makes of `old`, `new` or `context` is what the handler gets. A change that does not satisfy it becomes a dead letter at once,
   * with the schema's error.
   * @example
   * schema: z.object({ new: z.object({ size: z.number().positive() }), context: z.object({ userId: z.number() }) })
   * @default none: anything will do
   */
  schema?: StandardSchema
  /**
   * Makes of a change that was stored before a migration one of the present shape. It is given the change as it is stored, its
   * rows by the names of their columns in the values of JSON, and returns the rows as they would be stored now. Called for what was
   * stored by another version, before the rows become those of the handler and before `schema`. What it throws makes a dead letter.
   * @example
   * upcast: (change) => ({ ...change, new: change.new && { ...change.new, headline: change.new.title } })
   * @default none: columns that are gone are left out, new ones are null
   */
  upcast?: Upcast
  /**
   * How many notifications may be stored before `waitForCapacity` makes writers wait, until at most half of that is left.
   * @default none: never full
   */
  highWaterMark?: number
}

/** Defaults for every listener of one `PubSub`: what does not decide what a handler is given. */
export type ListenerDefaults = Omit<
  ListenerOptions,
  'name' | 'transactional' | 'lease' | 'batch' | 'delivery' | 'schema' | 'upcast'
>

/** {@link ListenerOptions} after {@link resolveListenerOptions}: nothing is optional any more. */
export interface ResolvedListenerOptions extends ConsumeOptions {
  readonly name: string
  readonly order: OrderMode
  readonly wake: WakeMode
  readonly delivery: Delivery
}

/**
 * Checks the options of a listener and fills in the defaults.
 * @throws PGPUBSUB_INVALID_OPTION
 */
export function resolveListenerOptions(
  options: ListenerOptions,
  defaults: ListenerDefaults = {},
): ResolvedListenerOptions {
  const name = checkName('A listener', options.name)
  const where = `listener "${name}"`
  const delivery = oneOf(where, 'delivery', deliveries, options.delivery ?? 'durable')
  const resolved = {
    name,
    delivery,
    ...resolve(where, { ...defaults, ...withoutUndefined(options) }),
    ...resolveHandling(where, options),
    ...resolveReading(where, options),
  }
  if (delivery === 'durable') return resolved
  checkBroadcastOptions(where, options)
  return { ...resolved, order: 'none', wake: 'never' }
}

const optionNames = [
  'order',
  'wake',
  'batchSize',
  'concurrency',
  'attempts',
  'backoff',
  'timeoutMs',
  'highWaterMark',
] as const satisfies readonly (keyof ListenerDefaults)[]

/**
 * Checks the defaults of listeners, before any listener is declared.
 * @throws PGPUBSUB_INVALID_OPTION
 */
export function checkDefaults(defaults: ListenerDefaults): ListenerDefaults {
  checkOptionNames('The defaults of pubsub', defaults, optionNames)
  resolve('the defaults', defaults)
  return withoutUndefined(defaults)
}

function resolve(
  where: string,
  given: ListenerDefaults,
): Omit<ResolvedListenerOptions, 'name' | 'delivery' | keyof Handling | keyof Reading> {
  return {
    order: oneOf(where, 'order', orderModes, given.order ?? 'row'),
    wake: oneOf(where, 'wake', wakeModes, given.wake ?? 'idle'),
    batchSize: positiveInteger(where, 'batchSize', given.batchSize ?? 1000),
    concurrency: positiveInteger(where, 'concurrency', given.concurrency ?? 10),
    attempts: positiveInteger(where, 'attempts', given.attempts ?? 20),
    backoff: backoffFunction(where, given.backoff ?? {}),
    timeoutMs: given.timeoutMs === undefined ? null : timerMilliseconds(where, 'timeoutMs', given.timeoutMs),
    context: null,
    highWaterMark:
      given.highWaterMark === undefined ? null : positiveInteger(where, 'highWaterMark', given.highWaterMark),
  }
}

function backoffFunction(where: string, value: unknown): Backoff {
  if (typeof value === 'function') return value as Backoff
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return backoffFrom(checked(where, value))
  throw invalid(
    `backoff of ${where} must be settings like { type: 'exponential', firstMs: 1000 }, or a function of the number of failed attempts that returns milliseconds; it is ${show(value)}.`,
  )
}

const backoffTypes = ['exponential', 'fixed'] as const

function checked(where: string, value: object): BackoffSettings {
  const settings: Record<string, unknown> = withoutUndefined({ ...value })
  const within = `backoff of ${where}`
  const type = oneOf(within, 'type', backoffTypes, settings.type ?? 'exponential')
  // a delay that does not grow needs no limit
  checkOptionNames(within, settings, ['type', 'firstMs', ...(type === 'fixed' ? [] : ['mostMs']), 'jitter'])
  const { firstMs = 1, mostMs = firstMs, jitter = 0 } = settings
  const first = positiveInteger(within, 'firstMs', firstMs)
  const most = positiveInteger(within, 'mostMs', mostMs)
  if (most < first) throw invalid(`mostMs of ${within} must be at least firstMs, ${first}; it is ${most}.`)
  if (most > mostDelayMs)
    throw invalid(`A delay of ${within} can be at most ${mostDelayMs} ms (a year); it is ${most}.`)
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) {
    throw invalid(`jitter of ${within} must be a number from 0 to 1; it is ${show(jitter)}.`)
  }
  return settings as BackoffSettings
}
