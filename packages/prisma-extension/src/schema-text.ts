import { keyFields } from './schema-key.js'

/*
 * The runtime data model of a generated client does not say which fields are lists, which identify a row, what the
 * database's type of a field is, nor how enum values are mapped. The client carries the text of its schema; this reads
 * them from there.
 */

export interface SchemaText {
  /** `Model.field` of every field that is a list. */
  readonly lists: ReadonlySet<string>
  /** Enum name → the database's value → Prisma's value, for the values that have a `@map`. */
  readonly enums: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Enum name → all of Prisma's values. */
  readonly members: ReadonlyMap<string, readonly string[]>
  /** Enum name → the names of the database's type. */
  readonly enumTypes: ReadonlyMap<string, { readonly schema: string; readonly name: string }>
  /** Model name → the fields that identify a row. */
  readonly keys: ReadonlyMap<string, readonly string[]>
  /** `Model.field` → the type named by its `@db.` attribute, for the fields that have one. */
  readonly nativeTypes: ReadonlyMap<string, string>
}

/** Texts and comments: what is in them is not the schema's own syntax. */
const opaque = /"(?:[^"\\]|\\.)*"|\/\/.*|\/\*[\s\S]*?\*\//g
const block = /\b(model|view|type|enum)\s+([\p{L}\p{N}_-]+)\s*\{([^{}]*)\}/gu
const listField = /^\s*([\p{L}\p{N}_-]+)[^\S\n]+[\p{L}\p{N}_-]+(?:\([^)]*\))?[^\S\n]*\[\s*\]/gmu
const enumMember = /^\s*(\p{L}[\p{L}\p{N}_-]*)(?=\s|@|$)/gmu
const nativeField = /^\s*([\p{L}\p{N}_-]+)[^\S\n][^\n]*?@db\.(\w+)/gmu
const mappedValue = /^\s*([\p{L}\p{N}_-]+)[^\S\n]*@map\(\s*(?:name\s*:\s*)?"(\d+)"/gmu

export function readSchemaText(schema: string): SchemaText {
  const texts: string[] = []
  // without comments, and with numbers for texts, braces and brackets are what they look like
  const bare = schema.replace(opaque, (found) => (found.startsWith('"') ? `"${texts.push(found) - 1}"` : ' '))
  const lists = new Set<string>()
  const enums = new Map<string, ReadonlyMap<string, string>>()
  const members = new Map<string, readonly string[]>()
  const enumTypes = new Map<string, { schema: string; name: string }>()
  const keys = new Map<string, readonly string[]>()
  const nativeTypes = new Map<string, string>()
  for (const [, kind, name, body] of bare.matchAll(block) as Iterable<string[]>) {
    if (kind === 'enum') {
      addMappedValues(enums, name as string, body as string, texts)
      members.set(
        name as string,
        Array.from((body as string).matchAll(enumMember), ([, member]) => member as string),
      )
      const named = (attribute: 'map' | 'schema') => blockAttribute(attribute, body as string, texts)
      enumTypes.set(name as string, { schema: named('schema') ?? 'public', name: named('map') ?? (name as string) })
      continue
    }
    for (const [, field] of (body as string).matchAll(listField)) lists.add(`${name}.${field}`)
    for (const [, field, type] of (body as string).matchAll(nativeField))
      nativeTypes.set(`${name}.${field}`, type as string)
    const key = keyFields(body as string)
    if (key) keys.set(name as string, key)
  }
  return { lists, enums, members, enumTypes, keys, nativeTypes }
}

function addMappedValues(
  enums: Map<string, ReadonlyMap<string, string>>,
  name: string,
  body: string,
  texts: readonly string[],
): void {
  const values = [...body.matchAll(mappedValue)].map(
    ([, value, text]) => [unquote(texts[Number(text)] as string), value as string] as const,
  )
  if (values.length > 0) enums.set(name, new Map(values))
}

/** The text that `@@map("…")` or `@@schema("…")` gives. */
function blockAttribute(attribute: 'map' | 'schema', body: string, texts: readonly string[]): string | undefined {
  const number = new RegExp(`@@${attribute}\\(\\s*(?:name\\s*:\\s*)?"(\\d+)"`).exec(body)?.[1]
  return number === undefined ? undefined : unquote(texts[Number(number)] as string)
}

/** Prisma escapes as JSON does, and allows a tab as it is. */
function unquote(text: string): string {
  return JSON.parse(text.replaceAll('\t', '\\t'))
}
