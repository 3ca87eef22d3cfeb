import { expect, test } from 'vitest'
import type { Hurt } from '../chaos/excuses.ts'
import type { Run } from '../chaos/runs.ts'
import type { TrueChange } from '../chaos/truth.ts'
import { type Evidence, violationsOf } from '../chaos/verify.ts'

const second = 1_000_000

const change = (version: string): TrueChange => ({
  version,
  row: 1,
  before: null,
  mark: `of ${version}`,
  contextMark: '',
  committedAt: 0,
})

let calls = 0
const run = (version: string, begin: number, given: Partial<Run> = {}): Run => ({
  process: 'worker-0#1',
  call: ++calls,
  listener: 'by-row',
  row: 1,
  version,
  before: null,
  contextMark: '',
  begin: begin * second,
  end: (begin + 1) * second,
  how: 'done',
  committed: true,
  ...given,
})

/** Runs of `by-row`; the other listeners have nothing to complain of. */
function violations(runs: readonly Run[], given: Partial<Evidence> = {}): string[] {
  const evidence: Evidence = {
    truth: ['a', 'b'].map(change),
    runs,
    hurts: [],
    deaths: [],
    rolledBack: new Set(),
    effects: new Map(),
    ...given,
  }
  return violationsOf(evidence).filter(
    (violation) => !/^(?!by-row)[\w-]+: .* (was never handled|committed 0 times)$/.test(violation),
  )
}

const cut: Hurt = { process: 'worker-0#1', from: 1.5 * second, to: 1.6 * second, delay: false }

test('what is right is not complained of', () => {
  expect(violations([run('a', 0), run('b', 2)])).toEqual([])
})

test.each<[string, Run[], Partial<Evidence>]>([
  ['never handled', [run('a', 0)], {}],
  ['never committed', [run('a', 0), run('b', 2), run('c', 4)], {}],
  ['the context of', [run('a', 0), run('b', 2, { contextMark: 'of another' })], {}],
  ['had of another before', [run('a', 0), run('b', 2, { before: 'of another' })], {}],
  ['overtook', [run('b', 0), run('a', 2), run('b', 4)], {}],
  ['went back', [run('a', 0), run('b', 2), run('a', 4)], {}],
  ['repeated', [run('a', 0), run('a', 2), run('b', 4)], {}],
  ['ran beside another', [run('a', 0), run('b', 2), run('b', 2.5, { process: 'worker-1#1' })], {}],
  ['unexpected dead letter', [run('a', 0), run('b', 2)], { deaths: [{ listener: 'by-row', error: 'Error: oh' }] }],
  ['which was rolled back', [run('a', 0), run('b', 2)], { rolledBack: new Set(['of a']) }],
])('%s', (complaint, runs, given) => {
  expect(violations(runs, given).join('\n')).toContain(complaint)
})

test('a repeat is allowed where its worker lost the connection, and only where the batch had not committed', () => {
  const again = [run('a', 2, { process: 'worker-1#1' }), run('b', 4)]
  expect(violations([run('a', 0, { committed: false, end: 1.4 * second }), ...again], { hurts: [cut] })).toEqual([])
  expect(violations([run('a', 0), ...again], { hurts: [cut] }).join('\n')).toContain('repeated')
  const other = { ...cut, process: 'worker-2#1' }
  expect(violations([run('a', 0, { committed: false }), ...again], { hurts: [other] }).join('\n')).toContain('repeated')
})

test('a worker that lost its connection goes on until it notices, not longer', () => {
  const beside = 'ran beside another'
  const stale = (begin: number) => [
    run('a', 0),
    run('b', 2, { process: 'worker-1#1' }),
    run('b', begin, { committed: false }),
  ]
  expect(violations(stale(2.5), { hurts: [cut] })).toEqual([])
  expect(violations(stale(2.7), { hurts: [cut] }).join('\n')).toContain(beside)
  const frozen = { process: 'worker-0#1', from: 1.5 * second, to: 2.7 * second, delay: true }
  expect(violations(stale(2.8), { hurts: [cut, frozen] })).toEqual([])
})
