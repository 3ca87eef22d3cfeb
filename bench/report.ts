import { type Figure, goalSign, meetsGoal } from './benchmark.ts'

/** A figure as it is told and kept: with whether it is as good as promised. */
export interface Told extends Omit<Figure, 'goal'> {
  readonly goal: number | null
  readonly ok: boolean | null
}

export const told = (figure: Figure): Told => {
  const { name, value, unit, against, ratio, goal = null } = figure
  return { name, value, unit, against, ratio, goal, ok: meetsGoal(figure) }
}

/** One JSON line for each figure, as soon as it is known. */
export const jsonLine = (figure: Figure) => JSON.stringify(told(figure))

/** In words: what was promised of a ratio. */
export const goalText = ({ unit, goal }: Pick<Told, 'unit' | 'goal'>) =>
  goal === null ? '' : `${goalSign({ unit })} ${goal}`

const verdict = ({ ok }: Told) => (ok === null ? '' : ok ? 'met' : 'MISSED')

/** The figures as a table for people. */
export function table(figures: readonly Figure[]): string {
  const rows = figures
    .map(told)
    .map((figure) => [
      figure.name,
      figure.value.toLocaleString('en'),
      figure.unit,
      `${figure.ratio.toFixed(2)} ×`,
      goalText(figure),
      verdict(figure),
      figure.against,
    ])
  return aligned([['name', 'value', 'unit', 'ratio', 'goal', '', 'against'], ...rows])
}

function aligned(rows: readonly (readonly string[])[]): string {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0))
  const isNumber = (column: number) => column === 1 || column === 3
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (isNumber(column) ? cell.padStart(width(column)) : cell.padEnd(width(column)))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}
