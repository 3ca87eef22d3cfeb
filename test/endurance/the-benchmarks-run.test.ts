import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, inject, test } from 'vitest'

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
    const { stdout } = await bench('--quick', '--json', '--scale', '0.02')
    const figures = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line))
    const memory = ['memory-heap', 'memory-growth', 'memory-resident']
    const names = ['drain', 'drain-peer', 'latency-p50', 'latency-p99', 'write-1', 'write-16', ...memory, 'status']
    expect(figures.map(({ name }) => name)).toEqual(names)
    for (const figure of figures) {
      expect(Object.keys(figure).slice(0, 5)).toEqual(['name', 'value', 'unit', 'against', 'ratio'])
      expect(figure.value).toBeGreaterThan(0)
      expect(figure.ratio).toBeGreaterThan(0)
      expect(figure.unit).toMatch(/^(changes\/s|tps|ms|MB)$/)
      expect(figure.against).toMatch(
        /graphile-worker 0\.17|bare claim-and-delete loop|without a trigger|a backlog of|8 MB|status\(\) on 1000 stored/,
      )
    }
  })

  test('without --json they are a table, with --only just the one', async () => {
    const { stdout, stderr } = await bench('--quick', '--only', 'drain', '--scale', '0.005')
    expect(stdout).toMatch(/^name +value +unit +ratio +against\ndrain +[\d,]+ +changes\/s +\d+\.\d\d × +bare/)
    expect(stderr).toContain('drain: round 3 of 3')
  })

  test('an unknown name or option ends with 2 and says what there is', async () => {
    const unknownName = await failedBench('--only', 'speed')
    expect(unknownName).toMatchObject({ code: 2, stdout: '' })
    expect(unknownName.stderr).toContain('No benchmark is named "speed". There are drain, drain-peer, latency')
    expect(await failedBench('--fast')).toMatchObject({ code: 2, stdout: '' })
  })
})
