import type { Change, Operation } from './change.js'
import type { TransactionSource } from './consume/transaction.js'
import type { Delivery } from './delivery.js'
import { PubSubError } from './errors.js'
import type { Instrumentation } from './instrumentation.js'
import { quotedNameMeant } from './known-names.js'
import type { Message } from './message.js'
import type { When } from './publish/condition.js'
import type { FilterField } from './publish/filter.js'
import type { Table } from './publish/table.js'
import type { StandardSchema } from './standard-schema.js'
import type { Upcast } from './stored-change.js'

export const wakeModes = ['idle', 'always', 'never'] as const
/** When the trigger sends a NOTIFY: to a sleeping worker only, for every change, or not at all (workers poll). */
export type WakeMode = (typeof wakeModes)[number]

export const orderModes = ['row', 'none'] as const
/** `row`: changes of one row are handled one after another, in commit order. `none`: in any order. */
export type OrderMode = (typeof orderModes)[number]

export const levels = ['row', 'statement'] as const
/** What fires the trigger: each row, or each statement with all of its rows. */
export type Level = (typeof levels)[number]

/** Milliseconds until the next attempt, after `attempt` failed ones (1 at the first failure). */
export type Backoff = (attempt: number) => number

/** How long to wait between attempts, without a function of one's own. */
export type BackoffSettings =
  | {
      /** Doubled with each attempt. @default 'exponential' */
      type?: 'exponential'
      /** Milliseconds after the first failure. @default 1000 */
      firstMs?: number
      /** The most milliseconds, before `jitter`. @default 3600000, or `firstMs` where that is more */
      mostMs?: number
      /** Each delay is spread over ± this part of it, 0 to 1. @default 0.25 */
      jitter?: number
    }
  | {
      /** The same after every attempt. */
      type: 'fixed'
      /** Milliseconds. @default 1000 */
      firstMs?: number
      /** A delay that does not grow needs no limit. */
      mostMs?: never
      /** As above. @default 0.25 */
      jitter?: number
    }

/** What of a row is stored: `columns` kept (`only`), or kept out (`except`). `key` keeps the row's key alone. */
export type StoredColumns =
  | { readonly kind: 'all' }
  | { readonly kind: 'key' }
  | { readonly kind: 'only'; readonly columns: readonly string[] }
  | { readonly kind: 'except'; readonly columns: readonly string[] }

/** A table, by the names the database knows it by. */
export interface TableName {
  readonly schema: string
  readonly name: string
}

/** What of a listener is installed in the database: it decides the triggers, and its hash tells when they are outdated. */
export interface ListenerDefinition {
  readonly name: string
  readonly table: TableName
  /** Columns that identify a row, as the program's own schema has it; null: those that the database's catalogue names. */
  readonly key: readonly string[] | null
  readonly timing: 'after' | 'before'
  readonly operations: readonly Operation[]
  readonly level: Level
  /** Updates fire only when one of these columns really changed; `null`: when any did. */
  readonly columns: readonly string[] | null
  /** What its rows must be like for a change to be stored; `null`: as they are. */
  readonly when: When | null
  readonly stored: StoredColumns
  /** Of the shape that its rows have, stored with each change; null: none is. */
  readonly version: string | null
  readonly order: OrderMode
  readonly wake: WakeMode
  readonly delivery: Delivery
}

/** The same of a listener on a channel: it needs no trigger, and stands in the list that `publish` goes by. */
export interface ChannelDefinition {
  readonly name: string
  readonly channel: string
  /** `row`: messages of one key are handled one after another. */
  readonly order: OrderMode
  readonly wake: WakeMode
  readonly delivery: Delivery
}

/** How a worker treats a listener: nothing of this is installed. */
export interface ConsumeOptions {
  /** The most notifications one claim takes. */
  readonly batchSize: number
  /** The most handlers that run at once in one worker. */
  readonly concurrency: number
  /** Failed attempts after which a notification becomes a dead letter. */
  readonly attempts: number
  readonly backoff: Backoff
  /** Milliseconds after which an attempt has failed; null: never. */
  readonly timeoutMs: number | null
  /** Handlers run in the transaction that deletes their notifications. */
  readonly transactional: boolean
  /** Milliseconds that a notification belongs to its worker without a transaction; null: a transaction holds it. */
  readonly leaseMs: number | null
  /** The handler takes several changes at once; null: one. */
  readonly batch: BatchSettings | null
  /** What a change must satisfy that is given to the handler; null: anything will do. */
  readonly schema: StandardSchema | null
  /** For changes that were stored by another version; null: they are read as they are. */
  readonly upcast: Upcast | null
  /** Only notifications whose context contains this JSON object are taken; null: all. */
  readonly context: string | null
  /** As many stored notifications make writers wait that ask for capacity; null: no number does. */
  readonly highWaterMark: number | null
}

/** How many changes a batch handler is given. */
export interface BatchSettings {
  /** The most changes in one call. */
  readonly size: number
  /** Milliseconds that the oldest may wait for the batch to fill. */
  readonly maxWaitMs: number
}

/** Turns a stored row, as JSON text, into what the handler is given. */
export type DecodeRow<Row> = (json: string) => Row

/** Given one change or message, or with `batch` a list of them. */
export type Handler<Row> = (
  given: Change<Row> | readonly Change<Row>[] | Message<Row> | readonly Message<Row>[],
) => unknown

/** A declared listener: everything is decided, nothing optional. */
export interface Listener<Row = unknown> {
  readonly definition: ListenerDefinition | ChannelDefinition
  readonly consume: ConsumeOptions
  readonly decode: DecodeRow<Row>
  /** Column names of the stored row → the names that the handler knows them by; undefined for one it does not know. */
  readonly fieldName: (column: string) => string | undefined
  readonly handler: Handler<Row>
  /** Where the transactions of transactional handlers come from, where that is not the engine's own pool. */
  readonly transactions?: TransactionSource
  /** Watches the attempts of a worker. */
  readonly instrumentation?: Instrumentation
  /** Of one that was declared with `replay: true`. */
  readonly replay?: Replayable
  /** Its table as the program's own schema has it, where it has one: a migration is written by it, without a database. */
  readonly tableKnown?: Table
}

/** How `replay()` names what the listener is on. */
export interface Replayable {
  /** The model, or the table. */
  readonly source: string
  /** A field or column, by its name in the option `where` or `after`. @throws PGPUBSUB_UNKNOWN_COLUMN */
  readonly fieldNamed: (option: string, name: string) => FilterField
}

/** What it listens to, in words. */
const sourceOf = (definition: ListenerDefinition | ChannelDefinition) =>
  'channel' in definition ? `the channel ${definition.channel}` : `${definition.table.schema}.${definition.table.name}`

/** The declared listeners of one `PubSub`, by name. */
export class ListenerRegistry {
  readonly #listeners = new Map<string, Listener>()

  /**
   * Adds all of them or none.
   * @throws PGPUBSUB_DUPLICATE_LISTENER when a name is taken: two listeners of one name would share one queue.
   */
  add(listeners: readonly Listener[]): void {
    const names = new Map(this.#listeners)
    for (const listener of listeners) {
      this.#requireFree(names, listener)
      names.set(listener.definition.name, listener)
    }
    for (const listener of listeners) this.#listeners.set(listener.definition.name, listener)
  }

  #requireFree(names: ReadonlyMap<string, Listener>, { definition }: Listener): void {
    const { name } = definition
    const taken = names.get(name)
    if (taken) {
      throw new PubSubError(
        'PGPUBSUB_DUPLICATE_LISTENER',
        `A listener named "${name}" is already declared on ${sourceOf(taken.definition)}. The name is the identity of its queue: give the one on ${sourceOf(definition)} another.`,
      )
    }
  }

  all(): Listener[] {
    return [...this.#listeners.values()]
  }

  definitions(): Listener['definition'][] {
    return this.all().map(({ definition }) => definition)
  }

  find(name: string): Listener | undefined {
    return this.#listeners.get(name)
  }

  /** @throws PGPUBSUB_UNKNOWN_LISTENER when one of the names is not declared. */
  named(names: readonly string[]): Listener[] {
    return names.map((name) => {
      const listener = this.#listeners.get(name)
      if (listener) return listener
      const declared = [...this.#listeners.keys()]
      const remedy = 'Import the module that declares it. Declared are'
      throw new PubSubError(
        'PGPUBSUB_UNKNOWN_LISTENER',
        `No listener named "${name}" is declared here. ${quotedNameMeant(name, declared, remedy)}`,
      )
    })
  }
}
