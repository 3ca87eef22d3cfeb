import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { inject } from 'vitest'
import { type Way, waysToWrite } from '../../examples/media-scan/src/demo/uploads.ts'
import { type Evidence, findMistakes } from '../../examples/media-scan/src/demo/verify.ts'
import { describe, expect, test, vi } from '../support/test.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const demo = ['--import', 'tsx', 'examples/media-scan/src/demo.ts', '--files', '50']

/** A run of the demo, whose temporary files are all in `folder`. */
interface Run {
  readonly child: ChildProcess
  readonly folder: string
  output(): string
  /** Waits for the end. @returns the exit code */
  end(): Promise<number | null>
}

/** In a process group of its own, as a terminal would run it. */
async function startDemo(databaseUrl: string | undefined): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), 'demo-test-'))
  await chmod(folder, 0o755) // an embedded server may run as another user
  const { DATABASE_URL: _, ...env } = process.env
  const child = spawn(process.execPath, demo, {
    cwd: root,
    env: { ...env, TMPDIR: folder, ...(databaseUrl && { DATABASE_URL: databaseUrl }) },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (text) => (output += text))
  const closed = once(child, 'close')
  return { child, folder, output: () => output, end: async () => (await closed)[0] }
}

/** No process of the group, and no file. */
async function expectNothingLeft({ child, folder }: Run): Promise<void> {
  // the runner of TypeScript has a process and a cache of its own; the process notices a moment later that it is alone
  await vi.waitFor(async () => expect(await groupOf(child.pid!), 'processes left running').toEqual([]), 10_000)
  const files = (await readdir(folder)).filter((name) => !name.startsWith('tsx-'))
  await rm(folder, { recursive: true })
  expect(files, 'files left behind').toEqual([])
}

/** The running processes of a group. A zombie has ended, and waits for an init that may not care. */
async function groupOf(leader: number): Promise<string[]> {
  const { stdout } = await promisify(execFile)('ps', ['-A', '-o', 'pgid=,stat=,args='])
  const processes = stdout.split('\n').map((line) => line.trim().split(/\s+/))
  return processes.flatMap(([group, state, ...command]) =>
    group === String(leader) && !state?.startsWith('Z') ? [command.join(' ')] : [],
  )
}

const ownDatabases = `select datname from pg_database where datname like 'media\\_scan\\_%'`

test('the demo handles every committed change once and exits with 0', { timeout: 120_000 }, async ({ database }) => {
  const run = await startDemo(inject('postgresUrl'))
  expect(await run.end(), run.output()).toBe(0)

  expect(run.output()).toMatch(/createMany +│ +50 │ +50 │ +50 │ +3 │ \{"user":"linus"\}/)
  expect(run.output()).toMatch(/raw SQL +│ +1 │ +1 │ +1 │ +0 │ \{"user":"edgar"\}/)
  expect(run.output()).toMatch(/rolled back +│ +1 │ +0 │ +0 │/)
  expect(run.output()).toContain('77 committed changes, each handled exactly once')
  await expectNothingLeft(run)
  expect(await database.sql(ownDatabases)).toEqual([])
})

test('the demo exits with 1 where changes are not captured', { timeout: 120_000 }, async ({ database }) => {
  const withoutTriggers = new URL(inject('postgresUrl'))
  withoutTriggers.searchParams.set('options', '-c session_replication_role=replica')
  const run = await startDemo(withoutTriggers.href)
  expect(await run.end(), run.output()).toBe(1)

  expect(run.output()).toContain('create-1.jpg was handled 0 times, not 1')
  await expectNothingLeft(run)
  expect(await database.sql(ownDatabases)).toEqual([])
})

test('Ctrl-C stops every process of the demo and removes its files', { timeout: 120_000 }, async () => {
  const run = await startDemo(undefined)
  await vi.waitFor(() => expect(run.output()).toContain('service at'), { timeout: 100_000 })
  process.kill(-run.child.pid!, 'SIGINT')

  expect(await run.end(), run.output()).toBe(130)
  expect(run.output()).toContain('Interrupted')
  await expectNothingLeft(run)
})

describe('the check of the demo', () => {
  const ways = waysToWrite(20)

  test('finds nothing wrong where everything went right', () => {
    expect(findMistakes(ways, evidenceOf(ways))).toEqual([])
  })

  test('finds a change that was handled never, twice, or for another user', () => {
    const { rows, scans } = evidenceOf(ways)
    const first = scans[0]!
    const check = (changed: Evidence['scans']) => findMistakes(ways, { rows, scans: changed })
    expect(check(scans.slice(1))).toEqual(['create-1.jpg was handled 0 times, not 1'])
    expect(check([...scans, first])).toEqual(['create-1.jpg was handled 2 times, not 1'])
    expect(check([{ ...first, context: {} }, ...scans.slice(1)])).toEqual([
      'create-1.jpg was handled for undefined, not ada',
    ])
  })

  test('finds a rolled-back change that was handled', () => {
    const { rows, scans } = evidenceOf(ways)
    const ghost = { ...scans[0]!, title: 'rolled-back-1.jpg' }
    expect(findMistakes(ways, { rows, scans: [...scans, ghost] })).toEqual([
      'rolled-back-1.jpg was handled 1 times, not 0',
    ])
  })

  test('finds an infected file that was taken for a clean one', () => {
    const { rows, scans } = evidenceOf(ways)
    const clean = rows.map((row) => (row.title === 'createMany-8.jpg' ? { ...row, status: 'Clean', virus: null } : row))
    expect(findMistakes(ways, { rows: clean, scans })).toEqual(['createMany-8.jpg is Clean, not Infected'])
  })
})

/** What a run leaves in which all went right. */
function evidenceOf(ways: readonly Way[]): Evidence {
  const files = ways.flatMap(({ files, user, commits }) => (commits ? files.map((file) => ({ ...file, user })) : []))
  const found = files.map(({ name, infected, user }, id) => ({
    ...{ id, title: name, virus: infected ? 'EICAR' : null },
    ...{ status: infected ? 'Infected' : 'Clean', scannedAt: '2026-01-01T00:00:00Z' },
    ...{ context: { user }, milliseconds: 1, worker: 1 },
  }))
  return { rows: found, scans: found }
}
