import type { Benchmark } from './benchmark.ts'
import { writeFigures } from './write.ts'

export const write1: Benchmark = {
  name: 'write-1',
  about: 'one writer, one insert per transaction, with a worker, without, and with a bare trigger; against no trigger',
  run: (stage) =>
    writeFigures(
      1,
      stage.size(1_200, 200),
      [
        { name: 'write-1', trigger: 'idle', worker: true, goal: 0.74 },
        { name: 'write-1-alone', trigger: 'idle', worker: false },
        { name: 'write-1-bare', trigger: 'bare', worker: false },
      ],
      stage,
    ),
}
