import type {
  ListenerOptions as CoreListenerOptions,
  DeleteChange,
  DurableOption,
  Given,
  InsertChange,
  Level,
  ReplayChange,
  Replayed,
  TruncateChange,
  UpdateChange,
} from '@pgpubsub/core'
import type { Prisma } from '@prisma/client/extension'
import type { ITXClientDenyList, Types } from '@prisma/client/runtime/client'

type Read<T> = Prisma.Result<T, object, 'findFirstOrThrow'>

/** Names of the model's own fields: not of relations, nor of what a `result` extension computes. */
export type FieldOf<T> = T extends { fields: infer Fields } ? keyof Fields & keyof Read<T> & string : never

/** The row of a model, as `findFirstOrThrow()` returns it. `T` is the type of the delegate: `typeof prisma.media`. */
export type Row<T> = { [F in FieldOf<T>]: Read<T>[F] }

/** What `onPostSave` and `onPreSave` give to their handler: `old` is null on insert. */
export type PostSave<T> = InsertChange<Row<T>> | UpdateChange<Row<T>>
/** What `onPostInsert` and `onPreInsert` give to their handler. */
export type PostInsert<T> = InsertChange<Row<T>>
/** What `onPostUpdate` and `onPreUpdate` give to their handler. */
export type PostUpdate<T> = UpdateChange<Row<T>>
/** What `onPostDelete` and `onPreDelete` give to their handler: `new` is null. */
export type PostDelete<T> = DeleteChange<Row<T>>
/** What `onPostChange` gives to its handler. */
export type PostChange<T> = InsertChange<Row<T>> | UpdateChange<Row<T>> | DeleteChange<Row<T>>
/** What `onTruncate` gives to its handler. */
export type Truncate = TruncateChange

/** What a listener that is declared with `replay: true` is given by `replay()`: `new` is the row as it is, `old` is null. */
export type Replay<T> = ReplayChange<Row<T>>

/** What `onPreSave` gives to its handler: recorded before the write of an insert or update, which it does not alter or cancel. */
export type PreSave<T> = PostSave<T>
/** What `onPreInsert` gives to its handler: recorded before the write of an insert, which it does not alter or cancel. */
export type PreInsert<T> = PostInsert<T>
/** What `onPreUpdate` gives to its handler: recorded before the write of an update, which it does not alter or cancel. */
export type PreUpdate<T> = PostUpdate<T>
/** What `onPreDelete` gives to its handler: recorded before the write of a delete, which it does not alter or cancel. */
export type PreDelete<T> = PostDelete<T>

/** The kinds of change that a method of the family listens to: rows of the type `R`, of a model with the fields `Name`. */
export interface ChangeKinds<R, Name extends string = keyof R & string> {
  /** Of `onPostSave` and `onPreSave`. */
  save: InsertChange<R, Name> | UpdateChange<R, Name>
  /** Of `onPostInsert` and `onPreInsert`. */
  insert: InsertChange<R, Name>
  /** Of `onPostUpdate` and `onPreUpdate`. */
  update: UpdateChange<R, Name>
  /** Of `onPostDelete` and `onPreDelete`. */
  delete: DeleteChange<R, Name>
  /** Of `onPostChange`. */
  change: InsertChange<R, Name> | UpdateChange<R, Name> | DeleteChange<R, Name>
  /** Of `onTruncate`. */
  truncate: TruncateChange
}
/** Which kinds of change a method of the family listens to. */
export type ChangeKind = keyof ChangeKinds<unknown>

type Where<T> = NonNullable<Prisma.Args<T, 'findMany'>['where']>

/** Of JSON, its value as a whole can be asked for. */
type FieldFilter<F> = F extends { string_contains?: unknown } ? Pick<F, Extract<keyof F, 'equals' | 'not'>> : F

/** What `findMany({ where })` takes, on the model's own scalar fields. */
export type Filter<T> = { [F in FieldOf<T>]?: FieldFilter<Where<T>[F & keyof Where<T>]> } & {
  AND?: Filter<T> | Filter<T>[]
  OR?: Filter<T>[]
  NOT?: Filter<T> | Filter<T>[]
}

/** Filters on the row after the change, and before it. */
export interface When<T> {
  /** On the row after the change. @default any row */
  new?: Filter<T>
  /** On the row before the change. @default any row */
  old?: Filter<T>
}

/** Options of a listener on a model. `name` may be left out by a decorator: then it is the method's name. */
export interface ModelListenerOptions<T> extends Omit<CoreListenerOptions, 'name'> {
  /**
   * Identity of the listener and its queue: unique, at most 63 bytes.
   * @default the name of the decorated method; of the handler, where that is a named function
   */
  name?: string
  /**
   * Updates fire only when one of these fields really changed (`is distinct from`). Inserts and deletes always do.
   * @default any field
   */
  columns?: readonly FieldOf<T>[]
  /**
   * Only changes whose rows match are stored: a filter on the row after the change (`new`), before it (`old`), or both, with
   * the words of `findMany({ where })` on scalar fields. It asks the rows that an operation has; an operation that has none
   * of those named is not listened to, as deletes with `{ new }` alone.
   * @example { new: { status: 'published' }, old: { status: { not: 'published' } } }
   * @default every change
   */
  when?: When<T>
  /** Fields that are not stored, so that `old` and `new` do not have them: `{ passwordHash: true }`. @default none */
  omit?: { readonly [F in FieldOf<T>]?: boolean }
  /** The only fields that are stored: `{ id: true, title: true }`. @default all */
  select?: { readonly [F in FieldOf<T>]?: boolean }
  /** Store the fields of the key alone. The others are not in `old` and `new`. @default false */
  keysOnly?: boolean
  /**
   * `'statement'`: all rows of a statement are stored at once, which costs bulk writes much less, and a write of a single
   * row a little more. What the handler is given is the same. Not for `onPre…`, nor for tables with partitions or heirs.
   * @default 'row'
   */
  level?: Level
  /**
   * Lets `prisma.$pubsub.replay()` give it rows as they are: its handler is then given changes with the operation `'replay'`, too.
   * @default false
   */
  replay?: boolean
}

/**
 * The transaction client that a transactional handler is given as `tx`: what `prisma.$transaction(async (tx) => …)` gives.
 * `T` is the type of a delegate of the client: `typeof prisma.media`.
 */
export type TransactionOf<T> =
  T extends Types.Extensions.DynamicModelExtensionThis<infer TypeMap, infer _Model extends PropertyKey, infer Args>
    ? Omit<Types.Extensions.DynamicClientExtensionThis<TypeMap, Types.Extensions.TypeMapCbDef, Args>, ITXClientDenyList>
    : never

/** The row that the handler sees: without the fields that the options keep out of it. */
export type StoredRow<T, O> = O extends { keysOnly: true }
  ? Partial<Row<T>>
  : O extends { select: infer S extends object }
    ? Pick<Row<T>, TrueKeys<S> & keyof Row<T>>
    : O extends { omit: infer S extends object }
      ? Omit<Row<T>, TrueKeys<S>>
      : Row<T>

type TrueKeys<S> = { [K in keyof S]: S[K] extends true ? K : never }[keyof S]

type WithoutUpdates<K extends ChangeKind> = 'columns' | 'when' | (K extends 'delete' ? 'replay' : never)

/** What a method of the family takes: `columns` chooses among updates, and a truncated table has no row to store. */
export type OptionsOf<K extends ChangeKind, T> = K extends 'save' | 'update' | 'change'
  ? ModelListenerOptions<T>
  : Omit<
      ModelListenerOptions<T>,
      K extends 'truncate'
        ? 'columns' | 'when' | 'omit' | 'select' | 'keysOnly' | 'level' | 'replay'
        : WithoutUpdates<K>
    > &
      (K extends 'truncate' ? object : { when?: Pick<When<T>, K extends 'insert' ? 'new' : 'old'> })

/**
 * Fails to compile where an option is not one of `Options`, where a member of `omit`, `select` or `when` is not a field or
 * not a word of a filter, and where more than one option says what is stored.
 */
export type Exactly<Options, O> = O & {
  [K in keyof O]: K extends Contradicting<O>
    ? never
    : K extends 'omit' | 'select'
      ? { [F in keyof O[K]]: F extends keyof NonNullable<Options[K & keyof Options]> ? O[K][F] : never }
      : K extends keyof Options
        ? K extends 'when'
          ? ExactWhen<NonNullable<Options[K]>, O[K]>
          : O[K]
        : never
}

type ExactWhen<W, G> = { [R in keyof G]: R extends keyof W ? ExactFilter<NonNullable<W[R]>, G[R]> : never }

type ExactFilter<F, G> = G extends readonly unknown[]
  ? { [I in keyof G]: ExactFilter<F, G[I]> }
  : {
      [N in keyof G]: N extends 'AND' | 'OR' | 'NOT'
        ? ExactFilter<F, G[N]>
        : N extends keyof F
          ? ExactWords<WordsOf<F[N]>, G[N]>
          : never
    }

type WordsOf<F> = F extends { equals?: unknown } ? keyof F : never

/** An object that has none of the words is a value, as a Date is. */
type ExactWords<Words, G> = [keyof G & Words] extends [never] ? G : { [W in keyof G]: W extends Words ? G[W] : never }

type Contradicting<O> =
  | (O extends { delivery: 'broadcast' } ? DurableOption : never)
  | (O extends { delivery: 'broadcast'; level: 'statement' } ? 'level' : never)
  | (O extends { select: object; omit: object } ? 'omit' : never)
  | (O extends { select: object; keysOnly: true } | { omit: object; keysOnly: true } ? 'keysOnly' : never)

/** What the handler of a listener with the options `O` is given. */
export type HandlerInput<K extends ChangeKind, T, O> = Given<
  O,
  ChangeKinds<StoredRow<T, O>, FieldOf<T>>[K] | Replayed<O, ReplayChange<StoredRow<T, O>, FieldOf<T>>>,
  TransactionOf<T>
>

/** The method decorator that a listener without a handler is. */
export type ListenerDecorator<C> = <This>(
  method: (this: This, change: C) => unknown,
  context: ClassMethodDecoratorContext<This, (this: This, change: C) => unknown>,
) => void

/**
 * A method of the family: with a handler it declares a listener; without one it is a method decorator, whose listener is
 * declared by `prisma.$pubsub.register(instance)`.
 */
export interface ListenMethod<K extends ChangeKind> {
  // of overloads that do not fit, the compiler tells of the last: what is wrong with options, and not that they are no name
  <T>(this: T, name: string, handler: (change: ChangeKinds<Row<T>>[K]) => unknown): void
  <T, const O extends OptionsOf<K, T>>(
    this: T,
    options: Exactly<OptionsOf<K, T>, O>,
    handler: (given: HandlerInput<K, T, O>) => unknown,
  ): void
  <T>(this: T, name: string): ListenerDecorator<ChangeKinds<Row<T>>[K]>
  <T, const O extends OptionsOf<K, T>>(
    this: T,
    options?: Exactly<OptionsOf<K, T>, O>,
  ): ListenerDecorator<HandlerInput<K, T, O>>
}
