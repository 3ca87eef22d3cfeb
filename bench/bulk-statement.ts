import type { Benchmark } from './benchmark.ts'
import { bulkFigures } from './bulk.ts'

export const bulkStatement: Benchmark = {
  name: 'bulk-statement',
  about: "the same, a listener of the level 'statement'",
  run: (stage) => bulkFigures('statement', { insert: 2 }, stage),
}
