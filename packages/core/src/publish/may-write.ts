/*
 * Which statements need the context: those that may change rows. Reads must stay free of it, so a SELECT counts as one
 * that may write only when it calls a function that is not known to be harmless.
 */

const leadingComments = /^(?:\s+|--[^\n]*(?:\n|$)|\/\*[\s\S]*?\*\/)+/
const writers = new Set(['insert', 'update', 'delete', 'merge', 'with', 'call', 'do', 'execute', 'truncate'])
const readers = new Set(['select', 'values', 'table'])

// what may stand before a parenthesis in a read: keywords, and functions that Prisma's own queries and counts call
const harmless = new Set(
  `all and any as avg between bigint_sum by case cast ceil char coalesce concat count cube current_setting date_trunc
  distinct else except exists extract filter floor from greatest group having if in intersect is join json_agg
  json_build_array json_build_object jsonb_agg jsonb_build_array jsonb_build_object lateral least length like limit lower
  max min not now null nullif numeric offset on or order over partition plainto_tsquery round row rollup select set sets
  similar some string_agg substring sum then to_tsquery to_tsvector ts_rank ts_rank_cd union unnest upper using values
  varchar websearch_to_tsquery when where with within array array_agg array_length array_position btrim bit_and bit_or
  bool_and bool_or every decimal ilike left right replace to_char to_json to_jsonb trim
  jsonb_extract_path jsonb_extract_path_text jsonb_array_elements jsonb_typeof json_typeof`.split(/\s+/),
)

// quoted text, names and comments cannot call anything, except that a quoted name before "(" is a call
const quoted = /'(?:[^']|'')*'|--[^\n]*|\/\*[\s\S]*?\*\//g
const call = /("(?:[^"]|"")*"|[a-z_][\w$]*)\s*\(/gi

const known = new Map<string, boolean>()
const mostKnown = 1_000

/** Whether the statement may change rows and so needs the context of the request. */
export function mayWrite(sql: string): boolean {
  const remembered = known.get(sql)
  if (remembered !== undefined) return remembered
  const answer = analyse(sql)
  if (known.size >= mostKnown) known.clear()
  known.set(sql, answer)
  return answer
}

function analyse(sql: string): boolean {
  const statement = sql.replace(leadingComments, '')
  const first = /^[a-z]+/i.exec(statement.replace(/^[\s(]+/, ''))?.[0].toLowerCase() ?? ''
  if (writers.has(first)) return true
  if (!readers.has(first)) return false
  const bare = statement.replace(quoted, "''")
  for (const [, name] of bare.matchAll(call)) {
    if (name?.startsWith('"') || !harmless.has((name ?? '').toLowerCase())) return true
  }
  // a read may be followed by another statement
  return /;\s*\S/.test(bare)
}
