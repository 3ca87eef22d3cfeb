import type { Figure } from './benchmark.ts'

/** One JSON line for each figure, as soon as it is known. */
export const jsonLine = ({ name, value, unit, against, ratio, goal }: Figure) =>
  JSON.stringify({ name, value, unit, against, ratio, goal })

/** The figures as a table for people. */
export function table(figures: readonly Figure[]): string {
  const rows = figures.map(({ name, value, unit, ratio, against }) => [
    name,
    value.toLocaleString('en'),
    unit,
    `${ratio.toFixed(2)} ×`,
    against,
  ])
  return aligned([['name', 'value', 'unit', 'ratio', 'against'], ...rows])
}

function aligned(rows: readonly (readonly string[])[]): string {
  const width = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0))
  const isNumber = (column: number) => column === 1 || column === 3
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (isNumber(column) ? cell.padStart(width(column)) : cell.padEnd(width(column)))).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}
