import type { Benchmark } from './benchmark.ts'
import { bulkFigures } from './bulk.ts'

export const bulkRow: Benchmark = {
  name: 'bulk-row',
  about: "one statement that writes 50,000 rows, a listener of the level 'row'; against no trigger",
  run: (stage) => bulkFigures('row', { insert: 4.5, update: 4.5, delete: 4.5 }, stage),
}
