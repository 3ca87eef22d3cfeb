import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, inject, test } from 'vitest'
import { meetsGoal } from '../../bench/benchmark.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Runs `bench/run.ts` on the test's server, as `npm run bench` does after the set-up. */
async function bench(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  const command = ['--import', 'tsx', 'bench/run.ts', ...args]
  const env = { ...process.env, DATABASE_URL: inject('postgresUrl') }
  return promisify(execFile)(process.execPath, command, { cwd: root, env })
}

const failedBench = (...args: string[]) =>
  bench(...args).then(
    () => expect.unreachable('the run did not fail'),
    (error: { code: number; stdout: string; stderr: string }) => error,
  )

describe.concurrent('the benchmarks run', { timeout: 180_000 }, () => {
  test('every benchmark checks its result and prints well-formed figures, one JSON line each', async () => {
    // a benchmark throws where something was not handled, or handled twice: then the run fails
    const { stdout } = await bench('--quick', '--json', '--scale', '0.02', '--rounds', '1')
    const figures = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const names = [
      ...['drain', 'drain-peer', 'drain-one', 'drain-one-bare', 'drain-one-ordered'],
      ...['latency-p50', 'latency-p99', 'latency-bare-p50', 'latency-bare-p99'],
      ...['write-1', 'write-1-alone', 'write-1-bare'],
      ...['write-16', 'write-16-alone', 'write-16-bare', 'write-16-always'],
      ...['bulk-row-insert', 'bulk-row-bare-insert', 'bulk-row-update', 'bulk-row-bare-update'],
      ...['bulk-row-delete', 'bulk-row-bare-delete'],
      ...['bulk-statement-insert', 'bulk-statement-bare-insert', 'bulk-statement-update', 'bulk-statement-delete'],
      ...['fanout-1', 'fanout-5', 'fanout-20', 'filter', 'context', 'context-plain'],
      ...['order', 'blocked', 'retrying'],
      ...['backlog', 'memory-heap', 'memory-growth', 'memory-resident', 'processes', 'processes-bare'],
      ...['pinned', 'pinned-by-writer', 'pinned-live', 'pinned-dead', 'soak', 'soak-size'],
      ...['import', 'import-floor', 'import-beside-adapter', 'import-size', 'status'],
    ]
    expect(figures.map(({ name }) => name)).toEqual(names)
    for (const figure of figures) {
      expect(Object.keys(figure)).toEqual(['name', 'value', 'unit', 'against', 'ratio', 'goal', 'ok'])
      // how much it is tells nothing at this size; JSON has null for what is no number
      expect(figure.value, figure.name).toEqual(expect.any(Number))
      if (figure.name !== 'pinned-dead') expect(figure.ratio, figure.name).toEqual(expect.any(Number))
      expect(figure.against).not.toBe('')
      expect(figure.ok).toBe(meetsGoal(figure))
    }
  })

  test('without --json they are a table, with --only just the one', async () => {
    const { stdout, stderr } = await bench('--quick', '--only', 'drain', '--scale', '0.005')
    expect(stdout).toMatch(
      /^name +value +unit +ratio +goal +against\ndrain +[\d,]+ +changes\/s +\d+\.\d\d × +≥ 0.6 +(met|MISSED) +bare/,
    )
    expect(stderr).toMatch(/1\/1 drain: round (\d+) of \1:/)
  })

  test('an unknown name or option ends with 2 and says what there is', async () => {
    const unknownName = await failedBench('--only', 'speed')
    expect(unknownName).toMatchObject({ code: 2, stdout: '' })
    expect(unknownName.stderr).toContain(
      'No benchmark is named "speed". There are drain, drain-peer, drain-one, latency',
    )
    expect(await failedBench('--fast')).toMatchObject({ code: 2, stdout: '' })
    expect((await failedBench('--quick', '--save')).stderr).toContain('Only figures of the full size are kept')
  })
})
