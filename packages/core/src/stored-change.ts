import type { Context, StoredOperation } from './change.js'

/** A row as it is stored: by the names of its columns, in the values of JSON. Numbers that JavaScript cannot hold are text. */
export type RowByColumn = Readonly<Record<string, unknown>>

/** A change as it is stored, before its rows become those of the handler. */
export interface StoredChange {
  /** Identity of the notification. */
  readonly id: bigint
  /** Name of the listener that it is for. */
  readonly listener: string
  /** What happened to the row. */
  readonly operation: StoredOperation
  /** The row before; null on insert. */
  readonly old: RowByColumn | null
  /** The row after; null on delete. */
  readonly new: RowByColumn | null
  /** Names of the changed columns, where not all of the row is stored; else null: they are found by comparing `old` and `new`. */
  readonly changed: readonly string[] | null
  /** The context of the request that made the change. */
  readonly context: Context
  /** When the change was stored. */
  readonly createdAt: Date
}

/**
 * Makes of a change that was stored by another version of its model one of the present version. `version` is that by which it was
 * stored, null where none was noted.
 */
export type Upcast = (
  change: StoredChange,
  version: string | null,
) => Pick<StoredChange, 'old' | 'new'> & Partial<Pick<StoredChange, 'changed'>>
