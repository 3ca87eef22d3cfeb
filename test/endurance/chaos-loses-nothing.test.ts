import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What `npm run chaos` writes to standard output. It ends with 1 where something was violated. */
async function chaos(...args: string[]): Promise<string> {
  const command = ['--import', 'tsx', 'chaos/run.ts', ...args]
  const run = promisify(execFile)(process.execPath, command, { cwd: root, maxBuffer: 1024 ** 3 })
  return (await run.catch((error) => error)).stdout
}

test('kills, cut connections and restarts lose nothing, invent nothing and disturb no order', {
  timeout: 600_000,
}, async () => {
  const report = JSON.parse(await chaos('--minutes', '1', '--seed', '1', '--workers', '2', '--quiet', '--json'))
  expect(report.violations).toEqual([])
  for (const count of ['changes', 'rolledBack', 'handled', 'repeats', 'kills', 'cuts', 'restarts']) {
    expect(report[count], count).toBeGreaterThan(0)
  }
})

test('the same seed makes the same trouble in the same order', { timeout: 120_000 }, async () => {
  const [one, same, other] = await Promise.all(['3', '3', '4'].map((seed) => chaos('--seed', seed, '--plan', '50')))
  expect(one?.trimEnd().split('\n')).toHaveLength(50)
  expect(same).toBe(one)
  expect(other).not.toBe(one)
})
