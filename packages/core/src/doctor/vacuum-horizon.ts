import type { Patient } from './examination.js'
import type { Severity } from './finding.js'
import { number } from './in-words.js'

/** What it costs here that something holds back vacuum: the dead rows that stay. */
export interface HeldBack {
  readonly deadRows: number
  readonly severity: Severity
  /** The end of a message. */
  readonly words: string
}

/**
 * A dead row is removed once nobody can see it any more. Whether a row died before or after the oldest one who might
 * see it began cannot be asked cheaply, so all dead rows of the engine's tables are counted.
 */
export function heldBack({ tables, thresholds }: Pick<Patient, 'tables' | 'thresholds'>): HeldBack {
  const deadRows = tables.reduce((sum, table) => sum + table.deadRows, 0)
  const words = `No row that has died since then can be vacuumed away; the engine's tables have ${number(deadRows)} dead rows`
  if (deadRows < thresholds.deadRows) return { deadRows, severity: 'info', words: `${words}.` }
  return {
    deadRows,
    severity: deadRows < 10 * thresholds.deadRows ? 'warning' : 'problem',
    words: `${words}, which make every claim and every index slower.`,
  }
}
