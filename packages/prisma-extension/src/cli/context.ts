import { InvalidArgumentError } from '@commander-js/extra-typings'
import type { Context } from '@pgpubsub/core'

/** The value of `--context`. What of it is no context is told by listen() and process(). */
export function context(text: string): Context {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Context
  } catch {
    // told below
  }
  throw new InvalidArgumentError('Give a JSON object, such as {"tenant":"a"}.')
}
