import { pbkdf2Sync } from 'node:crypto'
import { setTimeout as pass } from 'node:timers/promises'
import type { Benchmark, Figure, Stage, Unit } from './benchmark.ts'
import { type Comparison, compare } from './compare.ts'
import { copyOf, type Database } from './database.ts'
import { type Hasher, startHasher } from './hasher.ts'
import { perSecond, rounded } from './statistics.ts'
import { expectStored } from './stored.ts'

/** A handler that needs about a millisecond of CPU, in two processes against one. */
export const processes: Benchmark = {
  name: 'processes',
  about: 'a handler that needs 1 ms of CPU, in two processes; against one process',
  async run(stage) {
    const seconds = stage.size(3, 1)
    const backlog = await stage.backlog(Math.max(8_000, stage.size(20_000, 20_000)))
    const rounds = roundsOf(1)
    const ours = await compare(stage, twoAgainstOne(handling(stage, backlog, seconds, rounds)), 'per second')
    const floor = await compare(stage, twoAgainstOne(hashing(seconds / 2, rounds)), 'hashes per second')
    return [{ ...figure('processes', 'changes/s', ours), goal: 1.8 }, figure('processes-bare', 'hashes/s', floor)]
  },
}

const twoAgainstOne = (rateOf: (count: number) => Promise<number>) => ({
  ours: () => rateOf(2),
  theirs: () => rateOf(1),
})

function figure(name: string, unit: Unit, { ours, ratio }: Comparison): Figure {
  return { name, value: rounded(ours), unit, against: 'one process', ratio: rounded(ratio, 3) }
}

/** How many rounds of hashing take so many milliseconds here, when nothing else runs. */
function roundsOf(milliseconds: number): number {
  const measured = 2_000_000
  const begun = performance.now()
  pbkdf2Sync('password', 'salt', measured, 32, 'sha256')
  return Math.round((measured * milliseconds) / (performance.now() - begun))
}

/** Changes handled per second by so many processes together. */
const handling = (stage: Stage, backlog: Database, seconds: number, rounds: number) => async (count: number) => {
  await using copy = await copyOf(stage.serverUrl, backlog)
  const { rows } = await copy.pool.query('select count(*)::int as stored from pgpubsub.notification')
  const { handled, rate } = await hashFor(seconds, count, () => startHasher(rounds, copy.url))
  // what two of them had handled would be counted twice, and deleted once
  await expectStored(copy, rows[0].stored - handled)
  if (handled >= rows[0].stored) throw new Error('Everything was handled before the time was over.')
  return rate
}

/** The floor of it: processes that hash as much, and have nothing to do with a queue. */
const hashing = (seconds: number, rounds: number) => async (count: number) =>
  (await hashFor(seconds, count, () => startHasher(rounds, null))).rate

/** So many processes, from when all of them begin until they are told to stop. */
async function hashFor(seconds: number, count: number, start: () => Promise<Hasher>) {
  const hashers = await Promise.all(Array.from({ length: count }, start))
  try {
    const begun = performance.now()
    for (const hasher of hashers) hasher.begin()
    await pass(seconds * 1000)
    const each = await Promise.all(hashers.map((hasher) => hasher.end()))
    const milliseconds = performance.now() - begun
    const handled = each.reduce((sum, one) => sum + one, 0)
    return { handled, rate: perSecond(handled, milliseconds) }
  } finally {
    for (const hasher of hashers) hasher.kill()
  }
}
