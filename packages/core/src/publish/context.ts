import { AsyncLocalStorage } from 'node:async_hooks'
import type { Context } from '../change.js'
import { PubSubError } from '../errors.js'

/** The transaction-local setting that carries the context to the triggers. Any client may set it in SQL. */
export const contextSetting = 'pgpubsub.notification_context'

/** The statement that sets it, with the context's JSON as its only value. */
export const setContextSql = `select pg_catalog.set_config('${contextSetting}', $1, true)`

/**
 * A stretch of asynchronous code with a context. `withContext` opens one inside another; a transaction opens one too, so
 * that its connection can tell the code that runs in it from code that merely happens to run at the same time.
 */
export interface ContextScope {
  readonly context: Context
  /** The context as JSON, `null` where there is none to carry. */
  readonly json: string | null
  readonly parent: ContextScope | undefined
  /** Whether it is the scope of a transaction, whose connection then belongs to it. */
  readonly transaction: boolean
  /** The innermost scope that is open inside this one; only kept for scopes of transactions. */
  innermost: ContextScope
  /** Set by a connection that carries contexts, when it saw a statement of this scope. */
  seenByCarrier: boolean
}

// Two copies of this package in one process must share their scopes.
const storageKey = Symbol.for('pgpubsub.context')
const shared = globalThis as { [storageKey]?: AsyncLocalStorage<ContextScope> }
shared[storageKey] ??= new AsyncLocalStorage<ContextScope>()
const storage: AsyncLocalStorage<ContextScope> = shared[storageKey]

/** Whether this process has ever set a context: before that, nothing needs guarding against another request's. */
let everUsed = false
export const contextEverUsed = () => everUsed

export function currentScope(): ContextScope | undefined {
  return storage.getStore()
}

/** The context of the running request; `{}` outside of any. */
export function currentContext(): Context {
  return currentScope()?.context ?? {}
}

/** A scope inside the running one, whose context is merged over the outer one's. */
export function openScope(context: Context): ContextScope {
  if (typeof context !== 'object' || context === null || Array.isArray(context)) throw invalid('it is not an object')
  const merged = { ...currentScope()?.context, ...context }
  const json = contextJson(merged)
  everUsed = true
  return newScope(merged, json === '{}' ? null : json, false)
}

/** A scope for the code that runs in a transaction: of the running context, and the owner of its connection. */
export function openTransactionScope(): ContextScope {
  const parent = currentScope()
  return newScope(parent?.context ?? {}, parent?.json ?? null, true)
}

function newScope(context: Context, json: string | null, transaction: boolean): ContextScope {
  const parent = currentScope()
  const scope: ContextScope = {
    context,
    json,
    parent,
    transaction,
    innermost: undefined as never,
    seenByCarrier: false,
  }
  scope.innermost = scope
  return scope
}

/** Runs `fn` inside the scope, and awaits it there: a Prisma query is lazy and would otherwise run outside. */
export function runInScope<T>(scope: ContextScope, fn: () => T | PromiseLike<T>): Promise<T> {
  return storage.run(scope, async () => {
    const enclosing = ancestors(scope).map((outer) => ({ outer, innermost: outer.innermost }))
    for (const { outer } of enclosing) outer.innermost = scope
    try {
      return await fn()
    } finally {
      for (const { outer, innermost } of enclosing) outer.innermost = innermost
    }
  })
}

/** Makes the scope the running one for the rest of the current asynchronous execution. */
export function enterScope(scope: ContextScope): void {
  storage.enterWith(scope)
  for (const outer of ancestors(scope)) outer.innermost = scope
}

/** Runs `fn` outside of any scope: background work must not inherit the context of whoever started it. */
export function runOutsideScopes<T>(fn: () => T): T {
  return storage.exit(fn)
}

/** Whether code running in `scope` runs inside `outer`. */
export function isWithin(scope: ContextScope | undefined, outer: ContextScope): boolean {
  return scope === outer || ancestors(scope).includes(outer)
}

function ancestors(scope: ContextScope | undefined): ContextScope[] {
  const outers: ContextScope[] = []
  for (let outer = scope?.parent; outer; outer = outer.parent) outers.push(outer)
  return outers
}

// \u0000 and lone surrogates are legal in JSON.stringify's output and refused by jsonb
const refusedByJsonb = /\\u0000|\\ud[89a-f]/

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
