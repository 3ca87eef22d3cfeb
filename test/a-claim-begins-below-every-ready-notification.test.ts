import fc from 'fast-check'
import { Position } from '../packages/core/src/consume/position.ts'
import { Settled } from '../packages/core/src/consume/settled.ts'
import { expect, test } from './support/test.ts'

type Step =
  | { readonly do: 'write'; readonly by: number }
  | { readonly do: 'commit' | 'rollback'; readonly by: number }
  | { readonly do: 'observe' | 'look' | 'sweep' | 'run elsewhere' }
  | { readonly do: 'claim'; readonly settles: number }
  | { readonly do: 'settle'; readonly which: number }

interface Writer {
  readonly xid: bigint
  readonly ids: bigint[]
}

/** Just enough of PostgreSQL: transaction ids, snapshots, and ids that are taken before their transaction commits. */
class Table {
  readonly ready = new Set<bigint>()
  readonly #writers = new Map<number, Writer>()
  /** The oldest transaction that writes something else, for ever. */
  #elsewhere: bigint | undefined
  #nextXid = 100n
  #lastEnded = 99n
  #nextId = 1n

  write(by: number): void {
    const writer = this.#writers.get(by) ?? { xid: this.#nextXid++, ids: [] }
    this.#writers.set(by, writer)
    writer.ids.push(this.#nextId++)
  }

  end(by: number, committed: boolean): void {
    const writer = this.#writers.get(by)
    if (!writer) return
    if (committed) for (const id of writer.ids) this.ready.add(id)
    this.#writers.delete(by)
    this.#ended(writer.xid)
  }

  /** A worker's transaction that has locked something, from its first lock to its end. */
  lock(): void {
    this.#ended(this.#nextXid++)
  }

  #ended(xid: bigint): void {
    if (xid > this.#lastEnded) this.#lastEnded = xid
  }

  /** As PostgreSQL has it: above the last that has ended, where some that run may be as well. */
  snapshot(): { oldest: bigint; next: bigint } {
    const next = this.#lastEnded + 1n
    // they stand in the order in which they began
    const [writer] = this.#writers.values()
    const oldest = this.#elsewhere ?? writer?.xid ?? next
    return { oldest: oldest < next ? oldest : next, next }
  }

  runElsewhere(): void {
    this.#elsewhere ??= [...this.#writers.values()][0]?.xid ?? this.#nextXid++
  }

  /** Who has a write lock on the notifications. */
  writers(): Set<string> {
    return new Set([...this.#writers.values()].map(({ xid }) => String(xid)))
  }

  readyAbove(start: bigint): bigint[] {
    return [...this.ready].filter((id) => id > start).sort((a, b) => Number(a - b))
  }

  /** Taken by transactions that may still commit them. */
  toCome(): bigint[] {
    return [...this.#writers.values()].flatMap(({ ids }) => ids)
  }

  /** Ready, or taken by a transaction that may still commit it. */
  mayBeReady(): bigint[] {
    return [...this.ready, ...this.toCome()]
  }
}

const by = fc.nat({ max: 2 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('write' as const), by }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constantFrom('commit' as const, 'rollback' as const), by }) },
  { weight: 2, arbitrary: fc.constant({ do: 'observe' as const }) },
  { weight: 2, arbitrary: fc.constant({ do: 'look' as const }) },
  { weight: 1, arbitrary: fc.constant({ do: 'run elsewhere' as const }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('claim' as const), settles: fc.nat({ max: 3 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('settle' as const), which: fc.nat({ max: 4 }) }) },
  { weight: 1, arbitrary: fc.constant({ do: 'sweep' as const }) },
)

function play(steps: readonly Step[]): { readonly highestStart: bigint; readonly highestSettled: bigint } {
  const table = new Table()
  const position = new Position()
  const settledUpTo = new Settled()
  let highestStart = 0n
  let observed = false
  const observe = () => {
    position.observe(table.snapshot())
    settledUpTo.observe(table.snapshot())
    observed = true
  }
  for (const taken of steps) {
    if (taken.do === 'write') table.write(taken.by)
    if (taken.do === 'commit' || taken.do === 'rollback') table.end(taken.by, taken.do === 'commit')
    if (taken.do === 'sweep') position.sweep()
    if (taken.do === 'run elsewhere') table.runElsewhere()
    if (taken.do === 'observe' || taken.do === 'look') observe()
    if (taken.do === 'look') {
      position.observeWriters(table.writers())
      settledUpTo.observeWriters(table.writers())
    }
    if (taken.do === 'claim') {
      if (!observed) observe()
      observed = false
      const ready = table.readyAbove(position.start)
      const settled = ready.slice(0, taken.settles)
      if (ready[0] !== undefined) position.saw(ready[0], settled.length > 0)
      if (settled.length > 0) {
        settledUpTo.saw(ready.at(-1) as bigint)
        table.lock()
      }
      for (const id of settled) table.ready.delete(id)
    }
    // another worker settles whatever it likes
    if (taken.do === 'settle') table.ready.delete(table.readyAbove(0n)[taken.which] ?? 0n)
    highestStart = position.start > highestStart ? position.start : highestStart
    expect(table.mayBeReady().filter((id) => id <= position.start)).toEqual([])
    expect(table.toCome().filter((id) => id <= settledUpTo.id)).toEqual([])
  }
  return { highestStart, highestSettled: settledUpTo.id }
}

test('whatever writers and other workers do, nothing is or becomes ready below where claims begin, or appears where all is settled', () => {
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 80, size: 'max' }), (steps) => void play(steps)),
    { numRuns: 3_000 },
  )
})

test('the beginning moves up while the head of the queue is handled', () => {
  const rounds = Array.from({ length: 20 }, (): Step[] => [
    { do: 'write', by: 0 },
    { do: 'commit', by: 0 },
    { do: 'claim', settles: 1 },
  ])
  expect(play(rounds.flat()).highestStart).toBeGreaterThan(10n)
  expect(play(rounds.flat()).highestSettled).toBeGreaterThan(10n)
})

test('a transaction that runs for ever and writes something else does not hold it back, where the locks are looked at', () => {
  const round = (look: Step[]): Step[] => [
    { do: 'write', by: 0 },
    { do: 'commit', by: 0 },
    ...look,
    { do: 'claim', settles: 1 },
  ]
  const rounds = (look: Step[]) => Array.from({ length: 20 }, () => round(look)).flat()
  expect(play([{ do: 'run elsewhere' }, ...rounds([{ do: 'look' }])]).highestStart).toBeGreaterThan(10n)
  expect(play([{ do: 'run elsewhere' }, ...rounds([])]).highestStart).toBe(0n)
})

test('a transaction that may still bring a lower id holds the beginning back, until it has ended', () => {
  const position = new Position()
  const claim = (oldest: bigint, next: bigint, lowest: bigint) => {
    position.observe({ oldest, next })
    position.saw(lowest, true)
    return position.start
  }
  expect(claim(5n, 10n, 100n)).toBe(0n)
  expect(claim(5n, 11n, 200n), 'transaction 5 is still running').toBe(0n)
  expect(claim(12n, 12n, 90n), 'it brought the id 90').toBe(89n)
})

test('a claim that has locked nothing does not tell by transaction ids who was running: they may be above its snapshot', () => {
  const position = new Position()
  const claim = (oldest: bigint, next: bigint, lowest: bigint) => {
    position.observe({ oldest, next })
    position.saw(lowest, false)
    return position.start
  }
  // transaction 101 has an id below 6, and runs; the last that has ended is 100
  for (let times = 0; times < 5; times++) expect(claim(101n, 101n, 6n)).toBe(0n)
})
