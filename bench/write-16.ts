import type { Benchmark } from './benchmark.ts'
import { writeFigure } from './write.ts'

export const write16: Benchmark = {
  name: 'write-16',
  about: '16 writers, one insert per transaction each, a worker running; against the same table without a trigger',
  run: (stage) => writeFigure('write-16', 16, 0.65, stage),
}
