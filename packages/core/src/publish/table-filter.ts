import { type FilterField, filterWords } from './filter.js'
import { anyText } from './filter-values.js'

/** A value of a column, as PostgreSQL reads its text into the column's type. */
export type FilterValue = string | number | bigint | boolean | Date | Uint8Array

/** What a filter asks of one column; a value is short for `{ equals: value }`. */
export type ColumnFilter =
  | FilterValue
  | null
  | {
      equals?: FilterValue | readonly FilterValue[] | null
      not?: FilterValue | null | Omit<Extract<ColumnFilter, { in?: unknown }>, 'not' | 'mode'>
      in?: readonly FilterValue[] | null
      notIn?: readonly FilterValue[] | null
      lt?: FilterValue
      lte?: FilterValue
      gt?: FilterValue
      gte?: FilterValue
      contains?: string
      startsWith?: string
      endsWith?: string
      mode?: 'default' | 'insensitive'
      has?: FilterValue
      hasSome?: readonly FilterValue[]
      hasEvery?: readonly FilterValue[]
      isEmpty?: boolean
    }

/** A filter on the rows of a table by the names of its columns, in the words of Prisma's `where`. */
export interface TableFilter {
  /** All of these must match. */
  AND?: TableFilter | readonly TableFilter[]
  /** One of these must match. */
  OR?: readonly TableFilter[]
  /** None of these may match. */
  NOT?: TableFilter | readonly TableFilter[]
  [column: string]: ColumnFilter | TableFilter | readonly TableFilter[] | undefined
}

/** A column of which only the database knows the type. */
export const columnField = (column: string): FilterField => ({
  column,
  words: filterWords,
  text: anyText,
  expects: 'a text, a number, a bigint, a boolean, a Date or bytes',
  short: true,
})
