import type { Benchmark } from './benchmark.ts'
import { writeFigures } from './write.ts'

export const write16: Benchmark = {
  name: 'write-16',
  about: '16 writers, likewise, and with a trigger that always notifies; against no trigger',
  run: (stage) =>
    writeFigures(
      16,
      stage.size(800, 200),
      [
        { name: 'write-16', trigger: 'idle', worker: true, goal: 0.65 },
        { name: 'write-16-alone', trigger: 'idle', worker: false },
        { name: 'write-16-bare', trigger: 'bare', worker: false },
        { name: 'write-16-always', trigger: 'always', worker: true },
      ],
      stage,
    ),
}
