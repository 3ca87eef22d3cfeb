export const operations = ['insert', 'update', 'delete', 'truncate'] as const

/** What happened to a row; `truncate` happens to a whole table. */
export type Operation = (typeof operations)[number]

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
  readonly operation: 'insert'
  readonly old: null
  readonly new: Row
  /** Every stored field: the whole row is new. */
  readonly changed: readonly Name[]
}

/** A row was updated. */
export interface UpdateChange<Row, Name extends string = keyof Row & string> extends ChangeBase {
  readonly operation: 'update'
  readonly old: Row
  readonly new: Row
  /** Names of the fields whose value is another than before, also of those that `omit` or `select` keeps out of `old` and `new`. */
  readonly changed: readonly Name[]
}

/** A row was deleted. */
export interface DeleteChange<Row, Name extends string = keyof Row & string> extends ChangeBase {
  readonly operation: 'delete'
  readonly old: Row
  readonly new: null
  /** Every stored field: the whole row is gone. */
  readonly changed: readonly Name[]
}

/** A table was emptied by `TRUNCATE`. */
export interface TruncateChange extends ChangeBase {
  readonly operation: 'truncate'
  readonly old: null
  readonly new: null
  readonly changed: readonly []
}

/** One inserted, updated or deleted row, discriminated by `operation`. */
export type Change<Row> = InsertChange<Row> | UpdateChange<Row> | DeleteChange<Row> | TruncateChange
