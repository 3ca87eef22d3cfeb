import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { meetsGoal } from '../bench/benchmark.ts'
import { chartOf } from '../bench/chart.ts'
import { withFigures } from '../bench/performance-page.ts'
import { readResults } from '../bench/results.ts'

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
