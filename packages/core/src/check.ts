import { longestTimeout } from './consume/signal.js'
import { PubSubError } from './errors.js'

/* Checks of what comes in from the user: what is wrong is said at the call that made it. */

/** @throws PGPUBSUB_INVALID_OPTION at an option that there is not: most often it is a typing error. */
export function checkOptionNames(where: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalid(`${where} takes its options as an object; it was given ${show(options)}.`)
  }
  const unknown = Object.keys(options).find((option) => !known.includes(option))
  if (unknown === undefined) return
  throw invalid(`${where} was given the unknown option "${unknown}". The options are ${known.join(', ')}.`)
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

export function invalid(message: string): PubSubError {
  return new PubSubError('PGPUBSUB_INVALID_OPTION', message)
}

/** An option that is undefined is not given: it does not hide the default. */
export function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T
}

/** A value as it stands in a message; of an object, only what kind it is. */
export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  return Array.isArray(value) ? 'a list' : 'an object'
}
