import { InvalidArgumentError } from '@commander-js/extra-typings'

/** The value of an option that counts something. */
export function count(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text)
  throw new InvalidArgumentError('Give a whole number from 1.')
}
