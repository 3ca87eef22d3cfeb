import type { Broadcast } from './broadcast.js'
import type { StandardSchema } from './standard-schema.js'

/** What a handler is given with the options `O`: a change `C`, with `tx` where it is transactional, or a list of them. */
export type Given<O, C, Tx> = O extends { delivery: 'broadcast' }
  ? Broadcast<C>
  : O extends { batch: object }
    ? readonly WithTx<O, Checked<O, C>, Tx>[]
    : WithTx<O, Checked<O, C>, Tx>

/** What a listener is given more where it is declared with `replay: true`: `R`. */
export type Replayed<O, R> = O extends { replay: true } ? R : never

/** The change with what its schema makes of it. */
type Checked<O, C> = O extends
  | { schema: StandardSchema<infer _, infer Output> }
  | { changeSchema: StandardSchema<infer _, infer Output> }
  ? C extends unknown
    ? Omit<C, keyof Output> & Output
    : never
  : C

type WithTx<O, C, Tx> = O extends { transactional: true } ? Transactional<C, Tx> : C

/** A change whose handler is transactional. */
export type Transactional<C, Tx> = C & {
  /** The transaction that deletes the notification too. To be used only until the handler ends. */
  readonly tx: Tx
}
