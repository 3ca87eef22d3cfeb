import pg from 'pg'

/** The one place where a name becomes SQL: `"Media"`. */
export function identifier(...path: string[]): string {
  return path.map((name) => pg.escapeIdentifier(name)).join('.')
}

/** The one place where a text becomes an SQL literal, for statements that cannot bind values (`create trigger`). */
export function literal(text: string): string {
  return pg.escapeLiteral(text)
}

/** A list of texts as PostgreSQL writes a `text[]`: `{"a","b"}`. */
export function arrayText(texts: readonly string[]): string {
  return `{${texts.map((text) => `"${text.replace(/[\\"]/g, '\\$&')}"`).join(',')}}`
}

/** A `do` block whose body may hold any text: the tag of its dollar quotes does not occur in it. */
export function doBlock(body: string): string {
  let tag = '$do$'
  while (body.includes(tag)) tag = `$do${tag.length}_${tag.slice(1)}`
  return `do ${tag}\n${body}\n${tag};`
}
