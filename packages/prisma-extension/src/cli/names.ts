import { InvalidArgumentError } from '@commander-js/extra-typings'

/** The value of an option that names listeners, with commas between. */
export function names(list: string): string[] {
  const given = list
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
  if (given.length === 0) throw new InvalidArgumentError('Give at least one name.')
  return [...new Set(given)]
}
