import type { Benchmark } from './benchmark.ts'
import { writeFigures } from './write.ts'

export const write1: Benchmark = {
  name: 'write-1',
  about: 'one writer, one insert per transaction, a worker running; against the same table without a trigger',
  run: (stage) =>
    writeFigures(1, [{ name: 'write-1', firing: 'idle', milliseconds: stage.size(5_000, 1_500), goal: 0.74 }], stage),
}
