const field = /^[^\S\n]*([\p{L}\p{N}_-]+)[^\S\n]+[\p{L}\p{N}_-]+(?:\([^)\n]*\))?[^\S\n]*(\[\s*\])?(\?)?([^\n]*)$/gmu
const blockKey = /@@(id|unique)\s*\(([^[]*)\[([^\]]*)\]([^\n]*)/g

/**
 * The fields that identify a row of a model: its id, else its first unique fields of which none can be null. Of two such,
 * either would do; what is declared has to name the same ones everywhere, and whichever index came first is not in the schema.
 * @param body of the model, without comments and texts
 */
export function keyFields(body: string): readonly string[] | null {
  const fields = [...body.matchAll(field)].map(([, name = '', list, optional, attributes = '']) => ({
    name,
    required: !list && !optional,
    has: (attribute: string) => new RegExp(`(?<!@)@${attribute}\\b`).test(attributes),
  }))
  const groups = [...body.matchAll(blockKey)].map(([, kind, before = '', names = '', after = '']) => ({
    kind,
    // an index of some rows only identifies none of the others
    whole: !/\bwhere\s*:/.test(before + after),
    // each may have arguments: name(sort: Desc)
    names: names
      .replaceAll(/\([^)]*\)/g, '')
      .split(',')
      .map((name) => name.trim()),
  }))
  const required = (name: string) => fields.some((candidate) => candidate.name === name && candidate.required)
  const id = fields.find(({ has }) => has('id'))
  if (id) return [id.name]
  const found =
    groups.find(({ kind }) => kind === 'id') ??
    groups.find(({ kind, whole, names }) => kind === 'unique' && whole && names.every(required))
  const unique = fields.find((candidate) => candidate.required && candidate.has('unique'))
  if (found?.kind === 'id') return found.names
  return unique ? [unique.name] : (found?.names ?? null)
}
