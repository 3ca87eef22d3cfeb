import { pbkdf2Sync } from 'node:crypto'
import { setTimeout as pass } from 'node:timers/promises'
import type { Benchmark, Stage } from './benchmark.ts'
import { compare } from './compare.ts'
import { copyOf, type Database } from './database.ts'
import { startHasher } from './hasher.ts'
import { perSecond, rounded } from './statistics.ts'
import { expectStored } from './stored.ts'

/** A handler that needs about a millisecond of CPU, in two processes against one. */
export const processes: Benchmark = {
  name: 'processes',
  about: 'a handler that needs 1 ms of CPU, in two processes; against one process',
  async run(stage) {
    const seconds = stage.size(4, 1)
    const backlog = await stage.backlog(Math.max(8_000, stage.size(20_000, 20_000)))
    const rounds = roundsOf(1)
    const sides = {
      ours: () => rateOf(stage, backlog, 2, seconds, rounds),
      theirs: () => rateOf(stage, backlog, 1, seconds, rounds),
    }
    const { ours, ratio } = await compare(stage, sides, 'per second')
    return [
      {
        name: 'processes',
        value: rounded(ours),
        unit: 'changes/s',
        against: 'one process',
        ratio: rounded(ratio, 3),
        goal: 1.8,
      },
    ]
  },
}

/** How many rounds of hashing take so many milliseconds here, when nothing else runs. */
function roundsOf(milliseconds: number): number {
  const measured = 2_000_000
  const begun = performance.now()
  pbkdf2Sync('password', 'salt', measured, 32, 'sha256')
  return Math.round((measured * milliseconds) / (performance.now() - begun))
}

/** @returns changes handled per second by so many processes together, from when all of them begin until they are told to stop */
async function rateOf(
  stage: Stage,
  backlog: Database,
  count: number,
  seconds: number,
  rounds: number,
): Promise<number> {
  await using copy = await copyOf(stage.serverUrl, backlog)
  const { rows } = await copy.pool.query('select count(*)::int as stored from pgpubsub.notification')
  const hashers = await Promise.all(Array.from({ length: count }, () => startHasher(copy.url, rounds)))
  try {
    const begun = performance.now()
    for (const hasher of hashers) hasher.begin()
    await pass(seconds * 1000)
    const handled = await Promise.all(hashers.map((hasher) => hasher.end()))
    const milliseconds = performance.now() - begun
    const sum = handled.reduce((all, one) => all + one, 0)
    // what two of them had handled would be counted twice, and deleted once
    await expectStored(copy, rows[0].stored - sum)
    if (sum >= rows[0].stored) throw new Error('Everything was handled before the time was over.')
    return perSecond(sum, milliseconds)
  } finally {
    for (const hasher of hashers) hasher.kill()
  }
}
