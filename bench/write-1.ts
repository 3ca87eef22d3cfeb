import type { Benchmark } from './benchmark.ts'
import { writeFigure } from './write.ts'

export const write1: Benchmark = {
  name: 'write-1',
  about: 'one writer, one insert per transaction, a worker running; against the same table without a trigger',
  run: (stage) => writeFigure('write-1', 1, 0.74, stage),
}
