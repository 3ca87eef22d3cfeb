/**
 * Starts a PostgreSQL, the service and two workers, uploads files in every way that Prisma writes, and checks that each
 * committed one was handled exactly once, and the rolled-back one never.
 *
 *   npm run demo -- [--files 1000] [--workers 2]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { DemoDatabase } from './demo/database.ts'
import { Programs } from './demo/programs.ts'
import { Progress } from './demo/progress.ts'
import { resultTable } from './demo/result-table.ts'
import { upload, type Way, waysToWrite } from './demo/uploads.ts'
import { type Evidence, findMistakes, type MediaRow } from './demo/verify.ts'
import { readScans } from './scan-log.ts'

const { values } = parseArgs({
  options: { files: { type: 'string', default: '1000' }, workers: { type: 'string', default: '2' } },
})
/** Milliseconds without progress after which the demo stops waiting. */
const patience = 30_000
const interrupt = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt.abort())

process.exit(await run(waysToWrite(Number(values.files)), Number(values.workers), interrupt.signal))

/** @returns the exit code */
async function run(ways: Way[], workers: number, signal: AbortSignal): Promise<number> {
  console.log('Media scan: every uploaded file is scanned as soon as its row has committed\n')
  try {
    const { evidence, seconds } = await uploadAndScan(ways, workers, signal)
    const mistakes = findMistakes(ways, evidence)
    console.log(resultTable(ways, evidence))
    if (mistakes.length > 0) return fail(mistakes)
    const count = evidence.scans.length.toLocaleString('en')
    console.log(
      `\n✔ ${count} committed changes, each handled exactly once, in ${seconds.toFixed(1)} s from the first upload`,
    )
    console.log('✔ the rolled-back one never')
    return 0
  } catch (error) {
    if (!signal.aborted) throw error
    console.log('\nInterrupted: everything is stopped and removed.')
    return 130
  }
}

/** What it has started is stopped, and what it has written removed, when it returns or throws. */
async function uploadAndScan(ways: Way[], workers: number, signal: AbortSignal) {
  await using folder = await temporaryFolder()
  await using database = await DemoDatabase.start()
  signal.throwIfAborted()
  console.log(`  ${database.server}`)

  const scanLog = join(folder.path, 'scans.jsonl')
  const env = { DATABASE_URL: database.url, UPLOADS: folder.path, SCAN_LOG: scanLog, PORT: '0' }
  await using programs = new Programs(['service.ts', ...Array<string>(workers).fill('worker.ts')], env, signal)
  const [address = ''] = await programs.ready
  console.log(`  service at ${address}, ${workers} workers\n`)

  const begun = performance.now()
  for (const way of ways) await upload(address, way, signal)
  await untilHandled(database, ways, signal)
  const seconds = (performance.now() - begun) / 1_000

  const response = await fetch(`${address}/media`, { signal })
  const evidence: Evidence = { rows: (await response.json()) as MediaRow[], scans: await readScans(scanLog) }
  return { evidence, seconds }
}

/** Everything is committed by now: where no notification is left, no handler runs, and none will. */
async function untilHandled(database: DemoDatabase, ways: Way[], signal: AbortSignal): Promise<void> {
  using progress = new Progress(ways.reduce((sum, { files, commits }) => sum + (commits ? files.length : 0), 0))
  for (let last = Date.now(), seen = -1; Date.now() - last < patience; await sleep(50, null, { signal })) {
    const { scanned, notifications } = await database.progress()
    progress.update(scanned)
    if (notifications === 0) return
    if (notifications !== seen) last = Date.now()
    seen = notifications
  }
}

function fail(mistakes: string[]): number {
  console.log(`\n✘ ${mistakes.length} mistakes:`)
  for (const mistake of mistakes.slice(0, 10)) console.log(`  ${mistake}`)
  return 1
}

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), 'media-scan-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}
