import type { Benchmark } from './benchmark.ts'
import { writeFigures } from './write.ts'

export const write16: Benchmark = {
  name: 'write-16',
  about: '16 writers, likewise, and with a trigger that always notifies; against the same table without a trigger',
  run: (stage) =>
    writeFigures(
      16,
      [
        { name: 'write-16', firing: 'idle', milliseconds: stage.size(4_000, 1_000), goal: 0.65 },
        { name: 'write-16-always', firing: 'always', milliseconds: stage.size(1_500, 400) },
      ],
      stage,
    ),
}
