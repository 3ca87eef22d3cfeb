import { identifier } from '../quote.js'
import type { Examination, Patient } from './examination.js'
import type { Finding } from './finding.js'
import { duration, number, size } from './in-words.js'
import type { TableFigures } from './table-figures.js'

/** Tables whose dead rows nobody has removed for long. Where someone holds vacuum back, that is a finding of its own. */
export const deadRows: Examination = async ({ schema, tables, thresholds }) =>
  tables
    .filter((table) => table.deadRows >= thresholds.deadRows)
    .filter(({ vacuumSeconds }) => vacuumSeconds === null || vacuumSeconds >= thresholds.vacuumSeconds)
    .map((table): Finding => {
      const name = identifier(schema, table.name)
      const last = table.vacuumSeconds === null ? 'never' : `${duration(table.vacuumSeconds)} ago`
      return {
        code: 'dead-rows',
        severity: 'warning',
        subject: `table ${name}`,
        message: `It has ${number(table.deadRows)} dead rows beside ${number(table.liveRows)} live ones; it was last vacuumed ${last}.`,
        remedy: `vacuum ${name}; then see why autovacuum does not come: autovacuum_naptime, autovacuum_max_workers, or one of the other findings.`,
        details: figures(table),
      }
    })

/**
 * The most bytes that a row takes, so that what is beyond them must be empty. What would make a row longer than 2 kB is
 * stored out of line; an index entry is a listener's name (63 bytes), ids and headers, in three indexes.
 */
const mostBytesOfRow = { heapBytes: 2_048, indexBytes: 320, toastBytes: 2 ** 20 } as const

const parts = [
  ['heapBytes', 'its rows'],
  ['indexBytes', 'its indexes'],
  ['toastBytes', 'what is stored out of line'],
] as const

/** Tables and indexes of which three quarters or more are certainly empty, by the server's count of live rows. */
export const bloat: Examination = async ({ schema, tables, thresholds }: Patient) =>
  tables.flatMap((table): Finding[] => {
    const inflated = parts.filter(
      ([part]) => table[part] >= thresholds.tableBytes && table[part] > 4 * table.liveRows * mostBytesOfRow[part],
    )
    if (inflated.length === 0) return []
    const name = identifier(schema, table.name)
    const sizes = inflated.map(([part, words]) => `${size(table[part])} for ${words}`).join(' and ')
    return [
      {
        code: 'bloat',
        severity: 'warning',
        subject: `table ${name}`,
        message: `It takes ${sizes}, and has ${number(table.liveRows)} live rows: most of it is empty. That is what a backlog or held-back vacuum leaves behind; the space is used again when the queue grows.`,
        remedy: `To have it back at once, when it is quiet: vacuum (full) ${name}, which locks out writers while it copies the live rows. For the indexes alone: reindex table concurrently ${name}, which does not.`,
        details: figures(table),
      },
    ]
  })

const figures = ({ liveRows, deadRows, heapBytes, toastBytes, indexBytes, vacuumSeconds }: TableFigures) => ({
  liveRows,
  deadRows,
  heapBytes,
  toastBytes,
  indexBytes,
  vacuumSeconds,
})
