import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { meetsGoal } from '../bench/benchmark.ts'
import { chartOf } from '../bench/chart.ts'
import { withFigures } from '../bench/performance-page.ts'
import { type Results, readResults, type SavedFigure, withMeasured } from '../bench/results.ts'

const read = (path: string) => readFile(new URL(`../${path}`, import.meta.url), 'utf8')

// where one of these fails: npm run bench:chart

test('the table of docs/performance.md has the figures of bench/results/latest.json, no more and no other', async () => {
  const page = await read('docs/performance.md')
  expect(withFigures(page, readResults())).toBe(page)
})

test('the picture shows the same figures', async () => {
  expect(chartOf(readResults())).toBe(await read('bench/results/latest.svg'))
})

test('a figure counts as good as promised only where its ratio is on the right side of its goal', () => {
  for (const figure of readResults().figures) expect(figure.ok, figure.name).toBe(meetsGoal(figure))

  expect(meetsGoal({ unit: 'changes/s', ratio: 0.6, goal: 0.6 })).toBe(true)
  expect(meetsGoal({ unit: 'changes/s', ratio: 0.59, goal: 0.6 })).toBe(false)
  expect(meetsGoal({ unit: 'ms', ratio: 0.8, goal: 0.8 })).toBe(true)
  expect(meetsGoal({ unit: 'ms', ratio: 0.81, goal: 0.8 })).toBe(false)
  expect(meetsGoal({ unit: 'ms', ratio: 0.81 })).toBe(null)
})

const machine = { ...readResults().machine, cpu: 'a CPU' }
const run = { machine, date: '2026-01-01', commit: 'abc' }
const figure = (name: string, ratio: number) => ({
  name,
  value: 1,
  unit: 'ms' as const,
  against: 'a floor',
  ratio,
  goal: 1,
})
const ratios = ({ figures }: Results) => Object.fromEntries(figures.map(({ name, ratio }) => [name, ratio]))

test('what is measured again replaces the figures of its benchmark, and leaves the others as they were', () => {
  const first = withMeasured(null, run, 'latency', [figure('latency-p50', 1), figure('latency-p99', 2)])
  const both = withMeasured(first, { ...run, commit: 'def' }, 'drain', [figure('drain', 3)])
  expect(both.figures.map(({ name, commit }) => `${name} ${commit}`)).toEqual([
    ...['drain def', 'latency-p50 abc', 'latency-p99 abc'], // in the order of the benchmarks
  ])
  const again = withMeasured(both, { ...run, commit: 'def' }, 'latency', [figure('latency-p50', 4)])
  expect(ratios(again)).toEqual({ drain: 3, 'latency-p50': 4 })
  expect(again.figures[1]).not.toHaveProperty('runs')
})

/** Saves these ratios of one figure one after the other. @returns what is kept of them */
function saved(unit: 'ms' | 'tps', commit: string, ...measured: number[]) {
  const results = measured.reduce<Results | null>(
    (before, ratio) =>
      withMeasured(before, { ...run, commit }, 'drain', [{ ...figure('drain', ratio), unit, value: ratio * 10 }]),
    null,
  )
  return results?.figures[0]
}

test('of the last three runs of one commit the median is kept, of two the worse, and the page tells their range', () => {
  expect(saved('ms', 'abc', 0.9, 1.3)).toMatchObject({ ratio: 1.3, value: 13, ok: false })
  expect(saved('tps', 'abc', 0.9, 1.3)).toMatchObject({ ratio: 0.9, value: 9, ok: false })
  expect(saved('ms', 'abc', 1.3, 0.8, 0.9)).toMatchObject({ ratio: 0.9, value: 9, ok: true })
  const kept = saved('ms', 'abc', 7, 1.3, 0.8, 0.9) as SavedFigure
  expect(kept.runs?.map(({ ratio }) => ratio)).toEqual([1.3, 0.8, 0.9])

  const page = (figures: SavedFigure[]) =>
    withFigures('<!-- figures of bench/results/latest.json: npm run bench:chart --><!-- end of figures -->', {
      machine,
      figures,
    })
  expect(page([kept])).toContain('| 0.90 | ≤ 1 | met | 2026-01-01, abc, 3 runs: 0.80–1.30 |')
  expect(page([saved('ms', 'abc', 0.5) as SavedFigure])).toContain('| met | 2026-01-01, abc |')
})

test('what was measured of code that is in no commit is no part of a median', () => {
  expect(saved('ms', 'abc+', 1, 2)).toMatchObject({ ratio: 2 })
  expect(saved('ms', 'abc+', 1, 2)).not.toHaveProperty('runs')
})

test('figures of one machine are never shown beside those of another', () => {
  const here = withMeasured(null, run, 'drain', [figure('drain', 1)])
  const elsewhere = { ...run, machine: { ...machine, cores: 64 } }
  expect(ratios(withMeasured(here, elsewhere, 'latency', [figure('latency-p50', 2)]))).toEqual({ 'latency-p50': 2 })
})
