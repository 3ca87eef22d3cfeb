import { goalSign } from './benchmark.ts'
import { goalText } from './report.ts'
import type { Results, SavedFigure } from './results.ts'

/** Pixels. */
const width = 940
const rowHeight = 30
const top = 54
const left = 150
const barWidth = 330
const barHeight = 14
/** Where ratios end, and where what they are of begins. */
const textAt = left + barWidth + 50

/** The bar ends here, however much better than its goal a figure is. */
const mostShown = 2

const style = `
  text { font: 13px ui-sans-serif, system-ui, -apple-system, 'Segoe UI', sans-serif; fill: #1f2328 }
  .title { font-size: 15px; font-weight: 600 }
  .quiet { fill: #59636e; font-size: 12px }
  .track { fill: #eaeef2 }
  .met { fill: #2da44e }
  .missed { fill: #d4a72c }
  .goal { stroke: #1f2328; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .quiet { fill: #9198a1 }
    .track { fill: #262c36 }
    .met { fill: #3fb950 }
    .missed { fill: #d29922 }
    .goal { stroke: #f0f6fc }
  }
`

/** How far each figure is from what is promised, as an SVG: a bar that reaches the line is as good as its goal. */
export function chartOf({ figures, machine }: Results): string {
  const promised = figures.filter(({ goal }) => goal !== null)
  const bottom = top + promised.length * rowHeight
  const goalAt = left + barWidth / mostShown
  const height = bottom + 34
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" role="img" aria-label="Ratios measured against their goals">
<style>${style}</style>
<text class="title" x="16" y="24">What is measured, against what is promised</text>
<text class="quiet" x="${goalAt}" y="44" text-anchor="middle">goal</text>
${promised.map((figure, row) => bar(figure, top + row * rowHeight)).join('\n')}
<line class="goal" x1="${goalAt}" y1="${top - 4}" x2="${goalAt}" y2="${bottom - 8}"/>
<text class="quiet" x="16" y="${bottom + 16}">${escaped(`${machine.cores} cores of ${machine.cpu}, shared by server, workers and writers; PostgreSQL ${machine.postgres}, Node ${machine.node}`)}</text>
</svg>
`
}

function bar(figure: SavedFigure, y: number): string {
  const length = Math.round((Math.min(closeness(figure), mostShown) / mostShown) * barWidth)
  const middle = y + 15
  const textY = y + barHeight - 2
  return `<text x="${left - 12}" y="${textY}" text-anchor="end">${escaped(figure.name)}</text>
<rect class="track" x="${left}" y="${middle - barHeight}" width="${barWidth}" height="${barHeight}" rx="3"/>
<rect class="${figure.ok ? 'met' : 'missed'}" x="${left}" y="${middle - barHeight}" width="${length}" height="${barHeight}" rx="3"/>
<text x="${textAt}" y="${textY}" text-anchor="end">${figure.ratio.toFixed(2)}</text>
<text class="quiet" x="${textAt + 8}" y="${textY}">× ${escaped(figure.against)} (${goalText(figure)})</text>`
}

/** 1 where a figure is just as good as promised, 2 where it is twice as good. */
function closeness(figure: SavedFigure): number {
  const goal = figure.goal as number
  return goalSign(figure) === '≥' ? figure.ratio / goal : goal / figure.ratio
}

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
