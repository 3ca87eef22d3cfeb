import { goalText } from './report.ts'
import type { Results, SavedFigure } from './results.ts'

const begin = '<!-- figures of bench/results/latest.json: npm run bench:chart -->'
const end = '<!-- end of figures -->'

/** The page with the figures between its two markers. @throws where it has no markers */
export function withFigures(page: string, results: Results): string {
  const [before, rest] = page.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`docs/performance.md has no lines "${begin}" and "${end}".`)
  return `${before}${begin}\n\n${figuresOf(results)}\n\n${end}${after}`
}

function figuresOf({ figures, machine }: Results): string {
  const { cpu, cores, memory, os, node, postgres, settings } = machine
  const set = Object.entries(settings).map(([name, value]) => `\`${name} = ${value}\``)
  return `| name | measured | against | ratio | goal | | date, commit |
| --- | ---: | --- | ---: | --- | --- | --- |
${figures.map(row).join('\n')}

Measured on ${cores} cores of ${cpu}, ${memory} GB, ${os}, Node ${node}, PostgreSQL ${postgres} with ${set.join(', ')}.`
}

function row(figure: SavedFigure): string {
  const { name, value, unit, against, ratio, ok, date, commit } = figure
  const verdict = ok === null ? '' : ok ? 'met' : '**missed**'
  const cells = [
    `\`${name}\``,
    `${value.toLocaleString('en')} ${unit}`,
    against,
    ratio.toFixed(2),
    goalText(figure),
    verdict,
  ]
  return `| ${[...cells, `${date}, ${commit}${range(figure)}`].join(' | ')} |`
}

/** Of how many runs a ratio is the median, and how far they are apart. */
function range({ runs }: SavedFigure): string {
  if (!runs) return ''
  const ratios = runs.map(({ ratio }) => ratio)
  return `, ${runs.length} runs: ${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)}`
}
