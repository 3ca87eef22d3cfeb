import { AsyncLocalStorage } from 'node:async_hooks'
import type { Context } from '../change.js'
import { PubSubError } from '../errors.js'

/** The transaction-local setting that carries the context to the triggers. Any client may set it in SQL. */
export const contextSetting = 'pgpubsub.notification_context'

/** What it is set to where nothing is to be stored. No context can be that: it is no JSON. */
export const mutedSetting = 'muted'

/** The statement that sets it, with the context's JSON as its only value. */
export const setContextSql = `select pg_catalog.set_config('${contextSetting}', $1, true)`

const settings =
  /\bset\s+(?:local\s+|session\s+)?pgpubsub\s*\.\s*notification_context\b|\bset_config\s*\(\s*'pgpubsub\.notification_context'/i

/** Whether the statement is one by which a program sets the context itself: then that one holds. */
export function setsContext(sql: string): boolean {
  return sql !== setContextSql && settings.test(sql)
}

/** A stretch of asynchronous code with a context. `withContext` opens one inside another. */
export interface ContextScope {
  readonly context: Context
  /** The context as JSON, or `muted`; `null` where there is nothing to carry. */
  readonly json: string | null
  /**
   * Whether a transaction of an ORM opened it, or it was opened inside of one: a connection that is taken here is that
   * transaction's, which says itself whose context its statements have.
   */
  readonly inTransaction: boolean
  /** Set by a connection that carries contexts, when it saw a statement of this scope. */
  seenByCarrier: boolean
}

/** The trace that the running code belongs to, in the words of W3C's Trace Context. */
export interface TraceContext {
  readonly traceparent: string
  readonly tracestate?: string | undefined
}

// Two copies of this package in one process must share their scopes.
const sharedKey = Symbol.for('pgpubsub.context')
interface Shared {
  readonly storage: AsyncLocalStorage<ContextScope>
  everUsed: boolean
  /** The trace of the running code, where it is to be stored with every write. */
  currentTrace?: () => TraceContext | null
}
const everywhere = globalThis as { [sharedKey]?: Shared }
everywhere[sharedKey] ??= { storage: new AsyncLocalStorage(), everUsed: false }
const shared = everywhere[sharedKey]
const { storage } = shared

/** Whether this process has ever set a context: before that, nothing needs guarding against another request's. */
export const contextEverUsed = () => shared.everUsed

/** From now on, every write of this process is stored with the trace that it belongs to. */
export function traceWrites(currentTrace: () => TraceContext | null): void {
  shared.currentTrace = currentTrace
  shared.everUsed = true
}

/** The scope that the running code is in; undefined outside of any. */
export function currentScope(): ContextScope | undefined {
  return storage.getStore()
}

/** The context of the running request; `{}` outside of any. */
export function currentContext(): Context {
  return currentScope()?.context ?? {}
}

/** What a write is to be stored with now, as JSON: the running context and trace; '' for neither, or `muted`. */
export function currentJson(): string {
  const scope = currentScope()
  const json = scope?.json ?? ''
  if (json === mutedSetting) return json
  const trace = shared.currentTrace?.()
  return trace ? withTrace(json, scope?.context, trace) : json
}

// It is written behind the members of the context: of one that is there twice, jsonb keeps the last. A trace that was
// passed on in the context is where this one comes from, or an older one's.
function withTrace(json: string, context: Context | undefined, { traceparent, tracestate }: TraceContext): string {
  const state = tracestate ?? (context && 'tracestate' in context ? '' : undefined)
  const members = JSON.stringify({ traceparent, tracestate: state })
  return json === '' ? members : `${json.slice(0, -1)},${members.slice(1)}`
}

/**
 * A scope inside the running one, whose context is merged over the outer one's.
 * @throws PGPUBSUB_INVALID_CONTEXT
 */
export function openScope(context: Context): ContextScope {
  const outer = currentScope()
  const merged = Object.freeze({ ...outer?.context, ...plainObject(context) })
  const json = contextJson(merged)
  shared.everUsed = true
  const carried = outer?.json === mutedSetting ? mutedSetting : json
  return newScope(merged, carried === '{}' ? null : carried, outer?.inTransaction ?? false)
}

/** A scope of the running context in which writes store nothing, nor do they in scopes inside of it. */
export function openMutedScope(): ContextScope {
  shared.everUsed = true
  const outer = currentScope()
  return newScope(outer?.context ?? {}, mutedSetting, outer?.inTransaction ?? false)
}

/** A scope of the running context for the code that runs in a transaction, its BEGIN included. */
export function openTransactionScope(): ContextScope {
  return sameContext(true)
}

/** A scope of the running context for a statement that is sent from inside a transaction's code, but not in it. */
export function openScopeOutsideTransaction(): ContextScope {
  return sameContext(false)
}

function sameContext(inTransaction: boolean): ContextScope {
  const outer = currentScope()
  return newScope(outer?.context ?? {}, outer?.json ?? null, inTransaction)
}

function newScope(context: Context, json: string | null, inTransaction: boolean): ContextScope {
  return { context, json, inTransaction, seenByCarrier: false }
}

/** Runs `fn` inside the scope, and awaits it there: a Prisma query is lazy and would otherwise run outside. */
export function runInScope<T>(scope: ContextScope, fn: () => T | PromiseLike<T>): Promise<T> {
  return storage.run(scope, async () => await fn())
}

/** Makes the scope the running one for the rest of the current asynchronous execution. */
export function enterScope(scope: ContextScope): void {
  storage.enterWith(scope)
}

/** Runs `fn` outside of any scope: background work must not inherit the context of whoever started it. */
export function runOutsideScopes<T>(fn: () => T): T {
  // to leave what one is not in takes Node a microsecond
  return storage.getStore() === undefined ? fn() : storage.exit(fn)
}

// a Map, a Date or a list would lose what it holds when it is merged
function plainObject(context: Context): Context {
  if (typeof context !== 'object' || context === null) throw invalid('it is not an object')
  const prototype = Object.getPrototypeOf(context)
  const plain = prototype === null || Object.getPrototypeOf(prototype) === null
  if (!plain) throw invalid('it is a list or an object of a class')
  return context
}

// \u0000 and lone surrogates are legal in JSON.stringify's output and refused by jsonb
const refusedByJsonb = /\\u0000|\\ud[89a-f]/

/** A part of contexts as JSON, to look for those that contain it. @throws PGPUBSUB_INVALID_CONTEXT */
export const partOfContext = (context: Context): string => contextJson(plainObject(context))

/** @throws PGPUBSUB_INVALID_CONTEXT when the context is not an object that JSON and jsonb can hold. */
function contextJson(context: Context): string {
  let json: string | undefined
  try {
    json = JSON.stringify(context)
  } catch (cause) {
    throw invalid('it cannot be written as JSON', cause)
  }
  if (!json?.startsWith('{')) throw invalid('its JSON is not an object')
  if (refusedByJsonb.test(json.replaceAll('\\\\', ''))) throw invalid('it has a NUL character or half a surrogate pair')
  return json
}

function invalid(why: string, cause?: unknown): PubSubError {
  return new PubSubError(
    'PGPUBSUB_INVALID_CONTEXT',
    `A context must be a plain object of JSON values, like { userId: 7 }, and this one is not usable: ${why}.`,
    { cause },
  )
}
