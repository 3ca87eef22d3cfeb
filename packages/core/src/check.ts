import { longestTimeout } from './consume/signal.js'
import { PubSubError } from './errors.js'
import { nameMeant } from './known-names.js'

/* Checks of what comes in from the user: what is wrong is said at the call that made it. */

/** Characters of a text that stand in a message. */
const mostShown = 64

/** @throws PGPUBSUB_INVALID_OPTION at an option that there is not: most often it is a typing error. */
export function checkOptionNames(where: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid(`${where} takes its options as an object; it was given ${show(options)}.`)
  }
  const unknown = namesIn(where, options).find((option) => !known.includes(option))
  if (unknown === undefined) return
  throw invalid(
    `${where} was given the unknown option ${show(unknown)}. ${nameMeant(unknown, known, 'The options are')}`,
  )
}

/** A transaction of Prisma does not tell its members. */
function namesIn(where: string, options: object): string[] {
  try {
    return Object.keys(options)
  } catch {
    throw invalid(`${where} takes its options as an object; if what it was given is a transaction, pass { tx }.`)
  }
}

/** @throws PGPUBSUB_INVALID_OPTION */
export function positiveInteger(where: string, option: string, value: unknown): number {
  if (Number.isSafeInteger(value) && (value as number) > 0) return value as number
  throw invalid(`${option} of ${where} must be a whole number above 0; it is ${show(value)}.`)
}

/** What a timer of Node can hold. */
export function timerMilliseconds(where: string, option: string, value: unknown): number {
  const milliseconds = positiveInteger(where, option, value)
  if (milliseconds <= longestTimeout) return milliseconds
  throw invalid(`${option} of ${where} can be at most ${longestTimeout} ms (24 days); it is ${milliseconds}.`)
}

/** @throws PGPUBSUB_INVALID_OPTION when it is none of those. */
export function oneOf<T extends string>(where: string, option: string, allowed: readonly T[], value: unknown): T {
  if (allowed.includes(value as T)) return value as T
  const choices = allowed.map((choice) => `'${choice}'`).join(', ')
  throw invalid(`${option} of ${where} must be one of ${choices}; it is ${show(value)}.`)
}

/** @throws PGPUBSUB_INVALID_OPTION where it is no name that PostgreSQL can have. */
export function checkName(what: 'A listener' | 'A channel', name: unknown): string {
  if (typeof name !== 'string' || name.trim() === '') {
    const form =
      what === 'A listener' ? "a text as the first argument, or { name: '…' }" : 'a text as the first argument'
    throw invalid(`${what} needs a name: pass ${form}. It was given ${show(name)}.`)
  }
  const where = `The ${what.slice(2)} name`
  if (name.includes('\0')) throw invalid(`${where} ${show(name)} has a NUL character, which PostgreSQL cannot store.`)
  if (/\p{Surrogate}/u.test(name)) throw invalid(`${where} ${show(name)} has half a surrogate pair.`)
  const bytes = Buffer.byteLength(name)
  if (bytes > 63) throw invalid(`${where} "${name}" has ${bytes} bytes; at most 63 are possible.`)
  return name
}

/** @throws PGPUBSUB_INVALID_OPTION where the handler of a listener is no function. */
export function checkHandler(listener: string, handler: unknown): void {
  if (typeof handler === 'function') return
  const must = `The handler of listener "${listener}" must be a function`
  if (handler !== undefined) throw invalid(`${must}; it is ${show(handler)}.`)
  throw invalid(
    `${must}, and it is not defined where the listener is declared. If it is imported, two modules import each other: declare the listener in a third.`,
  )
}

/** @throws PGPUBSUB_INVALID_OPTION where `fn` is no function: most often it is a query of Prisma, which runs when it is awaited. */
export function checkCallback(call: string, fn: unknown): void {
  if (typeof fn === 'function') return
  throw invalid(
    `${call} runs a function: pass it as in () => prisma.media.create(…), and not the query itself. It was given ${show(fn)}.`,
  )
}

/** @throws PGPUBSUB_INVALID_OPTION where it is no name at all. */
export function checkListenerName(call: string, name: unknown): void {
  if (typeof name === 'string' && name !== '') return
  throw invalid(`${call} takes the name of a listener, a text; it was given ${show(name)}.`)
}

/** @throws PGPUBSUB_INVALID_OPTION where they are no list of names. */
export function checkListenerNames(call: string, names: unknown): void {
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return
  const given = Array.isArray(names) ? 'a list of other things' : show(names)
  throw invalid(
    `listeners of ${call} must be a list of names, like ['scan-media']; it is ${given}. Leave it out for all that are declared.`,
  )
}

export function invalid(message: string): PubSubError {
  return new PubSubError('PGPUBSUB_INVALID_OPTION', message)
}

/** An option that is undefined is not given: it does not hide the default. */
export function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}

/** A value as it stands in a message; of an object, only what kind it is, of a long text its beginning. */
export function show(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (typeof value === 'string')
    return JSON.stringify(value.length > mostShown ? `${value.slice(0, mostShown)}…` : value)
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}
