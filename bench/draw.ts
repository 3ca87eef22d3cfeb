/* Entry of `npm run bench:chart`: draws what is in results/latest.json, and puts it into docs/performance.md. */
import { readFileSync, writeFileSync } from 'node:fs'
import { chartOf } from './chart.ts'
import { withFigures } from './performance-page.ts'
import { readResults } from './results.ts'

const results = readResults()
const page = new URL('../docs/performance.md', import.meta.url)
writeFileSync(new URL('results/latest.svg', import.meta.url), chartOf(results))
writeFileSync(page, withFigures(readFileSync(page, 'utf8'), results))
