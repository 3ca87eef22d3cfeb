import { backlog } from './backlog.ts'
import type { Benchmark } from './benchmark.ts'
import { drain } from './drain.ts'
import { drainOne } from './drain-one.ts'
import { drainPeer } from './drain-peer.ts'
import { latency } from './latency.ts'
import { memory } from './memory.ts'
import { order } from './order.ts'
import { retrying } from './retrying.ts'
import { status } from './status.ts'
import { write1 } from './write-1.ts'
import { write16 } from './write-16.ts'

/** All of them, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [
  ...[drain, drainPeer, drainOne, latency],
  ...[write1, write16],
  ...[order, retrying],
  ...[backlog, memory, status],
]
