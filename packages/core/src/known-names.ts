/* How a message tells which names there are, when one was given that there is not. */

/** A message is read whole up to about so many characters of names. */
const mostCharacters = 190

/** The names, as far as a reader reads them: `id, title and 30 more`. */
function listed(names: readonly string[]): string {
  let length = 0
  const shown = names.filter((name) => {
    length += name.length + 2
    return length <= mostCharacters
  })
  const left = names.length - shown.length
  return left === 0 ? shown.join(', ') : `${shown.join(', ')} and ${left} more`
}

/** The name that was meant, where the one given looks like a slip of it; else all of them: `The options are order, wake.` */
export function nameMeant(given: unknown, names: readonly string[], introduction: string): string {
  return nearest(given, names) ?? `${introduction} ${listed(names) || 'none'}.`
}

/** The same of names that others have chosen: `Declared are "scan-media", "send mail".` */
export function quotedNameMeant(given: unknown, names: readonly string[], introduction: string): string {
  return nearest(given, names) ?? `${introduction} ${listed(names.map((name) => `"${name}"`)) || 'none'}.`
}

function nearest(given: unknown, names: readonly string[]): string | undefined {
  if (typeof given !== 'string' || given.length > 63) return undefined
  const near = names
    .map((name) => ({ name, steps: editSteps(given.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, steps }) => steps <= Math.max(name.length > 3 ? 2 : 1, Math.floor(name.length / 4)))
    .sort((one, other) => one.steps - other.steps)
  return near[0] && `Did you mean ${near[0].name}?`
}

/** How many letters must be put in, left out or replaced to make the one of the other: Levenshtein's distance. */
function editSteps(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (const [index, letter] of [...one].entries()) {
    const next = [index + 1]
    for (let column = 1; column < row.length; column++) {
      const replaced = (row[column - 1] as number) + (letter === other[column - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[column] as number) + 1, (next[column - 1] as number) + 1))
    }
    row = next
  }
  return row[other.length] as number
}
