import { backlog } from './backlog.ts'
import type { Benchmark } from './benchmark.ts'
import { blocked } from './blocked.ts'
import { bulkRow } from './bulk-row.ts'
import { bulkStatement } from './bulk-statement.ts'
import { context } from './context.ts'
import { drain } from './drain.ts'
import { drainOne } from './drain-one.ts'
import { drainPeer } from './drain-peer.ts'
import { fanout } from './fanout.ts'
import { filter } from './filter.ts'
import { importing } from './import.ts'
import { latency } from './latency.ts'
import { memory } from './memory.ts'
import { order } from './order.ts'
import { pinned } from './pinned.ts'
import { processes } from './processes.ts'
import { retrying } from './retrying.ts'
import { soak } from './soak.ts'
import { status } from './status.ts'
import { write1 } from './write-1.ts'
import { write16 } from './write-16.ts'

/** All of them, in the order in which they run. */
export const benchmarks: readonly Benchmark[] = [
  ...[drain, drainPeer, drainOne, latency],
  ...[write1, write16, bulkRow, bulkStatement, fanout, filter, context],
  ...[order, blocked, retrying],
  ...[backlog, memory, processes],
  ...[pinned, soak],
  ...[importing, status],
]
