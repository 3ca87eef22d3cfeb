/*
 * What a listener asks of a row, as data: part of its definition, so without anything that JSON cannot hold.
 */

/** `all` of none is true, `any` of none is false. What is asked of a null is neither, as in SQL. */
export type Condition =
  | { readonly all: readonly Condition[] }
  | { readonly any: readonly Condition[] }
  | { readonly not: Condition }
  | Comparison

export interface Comparison {
  readonly column: string
  /** `has every`, `has some` and `empty` are for columns that are lists. */
  readonly is: 'null' | '=' | '<' | '<=' | '>' | '>=' | 'in' | 'like' | 'has every' | 'has some' | 'empty'
  /** As PostgreSQL reads it into the column's type; a list where `is` takes several, or the column is one. */
  readonly value?: string | readonly string[]
  /** Letters are alike, small or capital. */
  readonly insensitive?: boolean
}

/** Conditions on the row before and after the change. */
export interface When {
  /** What the row before the change must be like. */
  readonly old?: Condition
  /** What the row after it must be like. */
  readonly new?: Condition
}

export type RowName = keyof When

/** The comparisons that a condition is made of. */
export function comparisonsOf(condition: Condition): readonly Comparison[] {
  if ('all' in condition) return condition.all.flatMap(comparisonsOf)
  if ('any' in condition) return condition.any.flatMap(comparisonsOf)
  if ('not' in condition) return comparisonsOf(condition.not)
  return [condition]
}
