/*
 * JSON.parse turns numbers into doubles: a bigint above 2^53 and a decimal of more than 15 digits lose what they were.
 * So rows that may hold such numbers are taken apart at their first level, and each member keeps its own text.
 */

/** The member of a stored row that lists the columns whose values jsonb could not hold, and that are kept as text. */
export const keptAsText = '$pgpubsub:text'

/** The members of a JSON object, or the elements of an array, each as its own JSON text. */
export function* members(json: string): Generator<[name: string, text: string]> {
  const inArray = json.trimStart().startsWith('[')
  let at = json.indexOf(inArray ? '[' : '{') + 1
  for (let index = 0; ; index++) {
    at = skipSpace(json, at)
    if (json[at] === '}' || json[at] === ']' || at >= json.length) return
    let name = String(index)
    if (!inArray) {
      const nameEnd = endOfValue(json, at)
      name = JSON.parse(json.slice(at, nameEnd))
      at = skipSpace(json, json.indexOf(':', nameEnd) + 1)
    }
    const end = endOfValue(json, at)
    yield [name, json.slice(at, end).trimEnd()]
    at = skipSpace(json, end)
    if (json[at] === ',') at++
  }
}

function skipSpace(json: string, at: number): number {
  let next = at
  while (json[next] === ' ' || json[next] === '\n' || json[next] === '\t' || json[next] === '\r') next++
  return next
}

/** Where the value that begins at `start` ends. */
function endOfValue(json: string, start: number): number {
  let depth = 0
  for (let at = start; at < json.length; at++) {
    const character = json[at]
    if (character === '"') at = endOfString(json, at)
    else if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') depth--
    else if (character === ',' && depth === 0) return at
    if (depth < 0) return at
    if (depth === 0 && (character === '"' || character === '}' || character === ']')) return at + 1
  }
  return json.length
}

/** The index of the closing quote of the string that opens at `open`. */
function endOfString(json: string, open: number): number {
  for (let quote = json.indexOf('"', open + 1); quote !== -1; quote = json.indexOf('"', quote + 1)) {
    if (!isEscaped(json, quote)) return quote
  }
  return json.length
}

/** An odd number of backslashes stands before it. */
function isEscaped(json: string, at: number): boolean {
  let first = at
  while (json[first - 1] === '\\') first--
  return (at - first) % 2 === 1
}
