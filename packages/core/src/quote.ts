// As pg's escapeIdentifier and escapeLiteral do it. pg itself is loaded when it is first needed, and a program that only
// declares listeners does not.

/** The one place where a name becomes SQL: `"Media"`. */
export function identifier(...path: string[]): string {
  return path.map((name) => `"${name.replaceAll('"', '""')}"`).join('.')
}

/** The one place where a text becomes an SQL literal, for statements that cannot bind values (`create trigger`). */
export function literal(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`
  return text.includes('\\') ? ` E${quoted}` : quoted
}

/** A list of texts as PostgreSQL writes a `text[]`: `{"a","b"}`. */
export function arrayText(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/[\\"]/g, '\\$&')}"`).join(',')}}`
}

/** A tag for dollar quotes, `$do$`, that does not occur in the text. */
export function dollarTag(name: string, text: string): string {
  let tag = `$${name}$`
  for (let number = 1; text.includes(tag); number++) tag = `$${name}${number}$`
  return tag
}

/** A `do` block whose body may hold any text. */
export function doBlock(body: string): string {
  const tag = dollarTag('do', body)
  return `do ${tag}\n${body}\n${tag};`
}

/** An array of numbers as its text, for a parameter: given the array, pg would look at each element, and at what it might be. */
export const numbersText = (numbers: readonly (string | bigint)[]) => `{${numbers.join(',')}}`
