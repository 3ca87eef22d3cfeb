import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { meetsGoal } from '../bench/benchmark.ts'
import { chartOf } from '../bench/chart.ts'
import { withFigures } from '../bench/performance-page.ts'
import { type Results, readResults, withMeasured } from '../bench/results.ts'

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
  expect(ratios(withMeasured(both, run, 'latency', [figure('latency-p50', 4)]))).toEqual({ drain: 3, 'latency-p50': 4 })
})

test('figures of one machine are never shown beside those of another', () => {
  const here = withMeasured(null, run, 'drain', [figure('drain', 1)])
  const elsewhere = { ...run, machine: { ...machine, cores: 64 } }
  expect(ratios(withMeasured(here, elsewhere, 'latency', [figure('latency-p50', 2)]))).toEqual({ 'latency-p50': 2 })
})
