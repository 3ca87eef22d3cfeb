/*
 * The runtime data model of a generated client does not say which fields are lists, nor how enum values are mapped. The
 * client carries the text of its schema; this reads the two from there.
 */

export interface SchemaText {
  /** `Model.field` of every field that is a list. */
  readonly lists: ReadonlySet<string>
  /** Enum name → the database's value → Prisma's value, for the values that have a `@map`. */
  readonly enums: ReadonlyMap<string, ReadonlyMap<string, string>>
}

export function readSchemaText(schema: string): SchemaText {
  const lists = new Set<string>()
  const enums = new Map<string, Map<string, string>>()
  let block: { kind: string; name: string } | null = null
  for (const line of schema.split('\n').map(withoutComment)) {
    const opening = /^\s*(model|view|type|enum)\s+(\w+)\s*\{/.exec(line)
    if (opening) block = { kind: opening[1] as string, name: opening[2] as string }
    else if (/^\s*\}/.test(line)) block = null
    else if (block?.kind === 'enum') addEnumValue(enums, block.name, line)
    else if (block) addList(lists, block.name, line)
  }
  return { lists, enums }
}

const text = /"(?:[^"\\]|\\.)*"/

function withoutComment(line: string): string {
  const pieces = line.match(new RegExp(`${text.source}|//.*|.`, 'gu')) ?? []
  return pieces.filter((piece) => !piece.startsWith('//')).join('')
}

function addEnumValue(enums: Map<string, Map<string, string>>, name: string, line: string): void {
  const mapped = new RegExp(`^\\s*(\\w+)\\s.*?@map\\(\\s*(?:name:\\s*)?(${text.source})`, 'u').exec(line)
  if (!mapped) return
  const values = enums.get(name) ?? new Map<string, string>()
  values.set(JSON.parse(mapped[2] as string), mapped[1] as string)
  enums.set(name, values)
}

function addList(lists: Set<string>, model: string, line: string): void {
  const list = /^\s*(\w+)\s+\w+(?:\("[^"]*"\))?\[\]/.exec(line)
  if (list) lists.add(`${model}.${list[1]}`)
}
