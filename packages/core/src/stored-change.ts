import type { Context, Operation } from './change.js'

/** A row as it is stored: by the names of its columns, in the values of JSON. Numbers that JavaScript cannot hold are text. */
export type StoredRow = Readonly<Record<string, unknown>>

/** A change as it is stored, before its rows become those of the handler. */
export interface StoredChange {
  readonly id: bigint
  readonly listener: string
  readonly operation: Operation
  readonly old: StoredRow | null
  readonly new: StoredRow | null
  /** Names of the changed columns, where not all of the row is stored; else null: they are found by comparing `old` and `new`. */
  readonly changed: readonly string[] | null
  readonly context: Context
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
