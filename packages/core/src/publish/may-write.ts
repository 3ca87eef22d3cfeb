/*
 * Which statements need the context: those that may change rows. Reads must stay free of it, so a SELECT counts as one
 * that may write only when it calls a function that is not known to be harmless. In doubt, a statement may write.
 */

const writers = new Set(['insert', 'update', 'delete', 'merge', 'call', 'do', 'execute', 'truncate', 'copy'])
const readers = new Set(['select', 'values', 'table', 'with'])
const writesInside = /\b(?:insert|update|delete|merge)\b/i
const locks = /\bfor\s+(?:no\s+key\s+)?update\b/gi

// what may stand before a parenthesis in a read: keywords, and functions that change nothing
const harmless = new Set(
  `abs age all and any array array_agg array_length array_position array_to_string as asc avg between bigint_sum bit
  bit_and bit_length bit_or bool_and bool_or btrim by case cast ceil ceiling char char_length character
  character_length coalesce concat concat_ws count cube cume_dist current_setting date date_part date_trunc decimal
  dense_rank desc distinct else end every except exists extract filter first_value float floor format from
  generate_series greatest group grouping having if ilike in initcap inner intersect interval is join json_agg
  json_array_elements json_array_length json_build_array json_build_object json_object_agg json_typeof jsonb_agg
  jsonb_array_elements jsonb_array_length jsonb_build_array jsonb_build_object jsonb_extract_path
  jsonb_extract_path_text jsonb_object_agg jsonb_object_keys jsonb_typeof key lag last_value lateral lead least left
  length like limit lower lpad ltrim make_date make_interval materialized max md5 min mod not now ntile null nullif
  numeric octet_length offset on or order ordinality over overlay partition percent_rank percentile_cont
  percentile_disc pg_typeof phraseto_tsquery plainto_tsquery position power random rank recursive regexp_match
  regexp_replace replace reverse right rollup round row row_number row_to_json rpad rtrim select set sets sign similar
  similarity some split_part sqrt starts_with string_agg string_to_array strpos substr substring sum then time
  timestamp timestamptz to_char to_date to_json to_jsonb to_number to_timestamp to_tsquery to_tsvector trim trunc
  ts_rank ts_rank_cd union unnest upper using values varbit varchar version websearch_to_tsquery when where width_bucket
  window with within without`.split(/\s+/),
)

// in this order: escape string, string, dollar-quoted string, quoted name, line comment, block comment
const quoted =
  /\be'(?:\\[\s\S]|''|[^'\\])*'|'(?:[^']|'')*'|(?<![\w$])\$([a-z_]\w*)?\$[\s\S]*?\$\1\$|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\//gi
// what they stand for when it is judged: "" for a name, '' for a text
const blank: Record<string, string> = { '"': '""', '-': ' ', '/': ' ' }
const call = /(?:([\w$\u0080-\uffff]+|"")\s*\.\s*)?([a-z_\u0080-\uffff][\w$\u0080-\uffff]*|"")\s*\(/gi

const known = new Map<string, boolean>()
const mostKnown = 1_000
const longestKnown = 10_000
// a text of several megabytes in a statement is more than a regular expression's stack can hold
const longestAnalysed = 1_000_000

/** Whether the statement may change rows and so needs the context of the request. */
export function mayWrite(sql: string): boolean {
  if (sql.length > longestAnalysed) return true
  const remembered = known.get(sql)
  if (remembered !== undefined) return remembered
  const answer = analyse(sql)
  if (sql.length > longestKnown) return answer
  if (known.size >= mostKnown) known.clear()
  known.set(sql, answer)
  return answer
}

function analyse(sql: string): boolean {
  let nested = false
  const bare = sql.replace(quoted, (token) => {
    if (token.startsWith('/*') && token.indexOf('/*', 2) > 0) nested = true
    return blank[token.charAt(0)] ?? "''"
  })
  // where such a comment ends, no regular expression can tell
  if (nested) return true
  return bare.split(';').some(statementMayWrite)
}

function statementMayWrite(statement: string): boolean {
  const first = /^[\s(]*([a-z]+)/i.exec(statement)?.[1]?.toLowerCase() ?? ''
  if (writers.has(first)) return true
  if (first === 'explain') return /\banaly[sz]e\b/i.test(statement)
  if (!readers.has(first)) return false
  if (first === 'with' && writesInside.test(statement.replace(locks, ''))) return true
  for (const [, schema, name = ''] of statement.matchAll(call)) {
    if (!isHarmless(schema, name)) return true
  }
  return false
}

function isHarmless(schema: string | undefined, name: string): boolean {
  const builtIn = schema === undefined || schema.toLowerCase() === 'pg_catalog'
  return builtIn && harmless.has(name.toLowerCase())
}
