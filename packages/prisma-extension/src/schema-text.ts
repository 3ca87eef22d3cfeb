/*
 * The runtime data model of a generated client does not say which fields are lists, nor how enum values are mapped. The
 * client carries the text of its schema; this reads the two from there.
 */

export interface SchemaText {
  /** `Model.field` of every field that is a list. */
  readonly lists: ReadonlySet<string>
  /** Enum name → the database's value → Prisma's value, for the values that have a `@map`. */
  readonly enums: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Enum name → all of Prisma's values. */
  readonly members: ReadonlyMap<string, readonly string[]>
}

/** Texts and comments: what is in them is not the schema's own syntax. */
const opaque = /"(?:[^"\\]|\\.)*"|\/\/.*|\/\*[\s\S]*?\*\//g
const block = /\b(model|view|type|enum)\s+([\p{L}\p{N}_-]+)\s*\{([^{}]*)\}/gu
const listField = /^\s*([\p{L}\p{N}_-]+)[^\S\n]+[\p{L}\p{N}_-]+(?:\([^)]*\))?[^\S\n]*\[\s*\]/gmu
const enumMember = /^\s*(\p{L}[\p{L}\p{N}_-]*)(?=\s|@|$)/gmu
const mappedValue = /^\s*([\p{L}\p{N}_-]+)[^\S\n]*@map\(\s*(?:name\s*:\s*)?"(\d+)"/gmu

export function readSchemaText(schema: string): SchemaText {
  const texts: string[] = []
  // without comments, and with numbers for texts, braces and brackets are what they look like
  const bare = schema.replace(opaque, (found) => (found.startsWith('"') ? `"${texts.push(found) - 1}"` : ' '))
  const lists = new Set<string>()
  const enums = new Map<string, ReadonlyMap<string, string>>()
  const members = new Map<string, readonly string[]>()
  for (const [, kind, name, body] of bare.matchAll(block) as Iterable<string[]>) {
    if (kind === 'enum') {
      addMappedValues(enums, name as string, body as string, texts)
      members.set(
        name as string,
        Array.from((body as string).matchAll(enumMember), ([, member]) => member as string),
      )
    } else for (const [, field] of (body as string).matchAll(listField)) lists.add(`${name}.${field}`)
  }
  return { lists, enums, members }
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

/** Prisma escapes as JSON does, and allows a tab as it is. */
function unquote(text: string): string {
  return JSON.parse(text.replaceAll('\t', '\\t'))
}
