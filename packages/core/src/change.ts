/** Every operation there is, as `change.operation` has it. */
export const operations = ['insert', 'update', 'delete', 'truncate'] as const

/** What happened to a row; `truncate` happens to a whole table. */
export type Operation = (typeof operations)[number]

/** What a notification of a row can carry: an {@link Operation}, or a row as it was found by `replay()`. */
export const storedOperations = [...operations, 'replay'] as const

/** What a notification of a row can carry: an {@link Operation}, or `replay`. */
export type StoredOperation = (typeof storedOperations)[number]

/** JSON set per request by the application, stored with each change it causes. */
export type Context = Readonly<Record<string, unknown>>

interface ChangeBase {
  /** Identity of the notification: grows, and orders the changes of one row. */
  readonly id: bigint
  /** Name of the listener that this notification is for. */
  readonly listener: string
  /** Which attempt this is, 1 at the first. */
  readonly attempt: number
  /** When the change was stored (clock time, not the start of its transaction). */
  readonly createdAt: Date
  /** The context of the request that made the change; `{}` where none was set. */
  readonly context: Context
  /** Aborts when the attempt takes longer than `timeoutMs`, or when the worker is stopped and its grace period is over. */
  readonly signal: AbortSignal
}

/** A row was inserted. */
export interface InsertChange<Row, Name extends string = keyof Row & string> extends ChangeBase {
  /** Tells the kinds of changes apart, and with it TypeScript knows which of `old` and `new` is null. */
  readonly operation: 'insert'
  /** Always null: there was no row. */
  readonly old: null
  /** The row as it was inserted. */
  readonly new: Row
  /** Every stored field: the whole row is new. */
  readonly changed: readonly Name[]
}

/** A row was updated. */
export interface UpdateChange<Row, Name extends string = keyof Row & string> extends ChangeBase {
  /** Tells the kinds of changes apart, and with it TypeScript knows which of `old` and `new` is null. */
  readonly operation: 'update'
  /** The row before the update. */
  readonly old: Row
  /** The row after the update. */
  readonly new: Row
  /** Names of the fields whose value is another than before, also of those that `omit` or `select` keeps out of `old` and `new`. */
  readonly changed: readonly Name[]
}

/** A row was deleted. */
export interface DeleteChange<Row, Name extends string = keyof Row & string> extends ChangeBase {
  /** Tells the kinds of changes apart, and with it TypeScript knows which of `old` and `new` is null. */
  readonly operation: 'delete'
  /** The row as it was. */
  readonly old: Row
  /** Always null: there is no row any more. */
  readonly new: null
  /** Every stored field: the whole row is gone. */
  readonly changed: readonly Name[]
}

/** A table was emptied by `TRUNCATE`. */
export interface TruncateChange extends ChangeBase {
  /** Tells the kinds of changes apart, and with it TypeScript knows which of `old` and `new` is null. */
  readonly operation: 'truncate'
  /** Always null: no rows are stored. */
  readonly old: null
  /** Always null: no rows are stored. */
  readonly new: null
  /** Always empty. */
  readonly changed: readonly []
}

/** A row as `replay()` found it: nothing has happened to it. Given to listeners that are declared with `replay: true`. */
export interface ReplayChange<Row, Name extends string = keyof Row & string> extends ChangeBase {
  /** Tells the kinds of changes apart, and with it TypeScript knows that `old` is null. */
  readonly operation: 'replay'
  /** Always null: nothing is known of before. */
  readonly old: null
  /** The row as it is, as `findFirstOrThrow()` would return it. */
  readonly new: Row
  /** Every stored field, as of an insert. */
  readonly changed: readonly Name[]
}

/** One inserted, updated or deleted row, discriminated by `operation`. */
export type Change<Row> = InsertChange<Row> | UpdateChange<Row> | DeleteChange<Row> | TruncateChange
