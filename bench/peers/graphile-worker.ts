import { createRequire } from 'node:module'
import { Logger, type Runner, run, runMigrations, type TaskList } from 'graphile-worker'
import pg from 'pg'
import type { Database } from '../database.ts'
import type { Tally } from '../tally.ts'

const { version } = createRequire(import.meta.url)('graphile-worker/package.json')

export const graphileWorker = `graphile-worker ${version}`

export type WorkerOptions = GraphileConfig.WorkerOptions

const common = { noHandleSignals: true, parsedCronItems: [], logger: new Logger(() => () => {}) }

/** Its best for throughput: jobs fetched 500 at once, 24 at work, completed in batches. */
export const forThroughput: WorkerOptions = {
  concurrentJobs: 24,
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
}

/** Each job for itself; also its best for latency: a job goes straight from the NOTIFY to a worker that waits for it. */
export const forSingleJobs: WorkerOptions = { concurrentJobs: 10 }

/** Stores each notification once more as a job, with the very same JSON as its payload. */
export async function storeJobs(database: Database): Promise<void> {
  await runMigrations({ ...common, connectionString: database.url })
  await database.pool.query(`
    select count(*) from graphile_worker.add_jobs(array(
      select row('drain', json_build_object('operation', operation, 'old', old, 'new', new, 'context', context),
        null, null, null, null, null, null)::graphile_worker.job_spec
      from pgpubsub.notification order by id))`)
  await database.pool.query('vacuum analyze')
}

/** Does every stored job, in this process. @returns milliseconds, connecting included */
export async function doJobs(database: Database, tally: Tally, options: WorkerOptions): Promise<number> {
  const task = (payload: unknown) => {
    const { old, new: media } = payload as { old: { title: string }; new: { id: number; title: string } }
    if (old.title !== media.title) tally.count(media.id)
  }
  const begun = performance.now()
  const runner = await startRunner(database.url, { drain: task }, options)
  try {
    await tally.complete
    await jobsGone(database)
    const milliseconds = performance.now() - begun
    tally.expectEachOnce(graphileWorker)
    return milliseconds
  } finally {
    await runner.stop()
  }
}

async function jobsGone(database: Database): Promise<void> {
  const left = 'select exists (select from graphile_worker._private_jobs) as left'
  while ((await database.pool.query(left)).rows[0].left) {}
}

/** A worker that waits for jobs one by one. */
export async function waitForJobs(url: string, taskList: TaskList): Promise<Pick<Runner, 'stop'>> {
  await runMigrations({ ...common, connectionString: url })
  return startRunner(url, taskList, forSingleJobs)
}

/** With a pool of its own whose connections may be cut: the database is dropped while they are still closing. */
async function startRunner(url: string, taskList: TaskList, worker: WorkerOptions): Promise<Pick<Runner, 'stop'>> {
  const concurrency = worker.concurrentJobs ?? 1
  const pgPool = new pg.Pool({ connectionString: url, max: concurrency + 2 })
  pgPool.on('error', () => {})
  pgPool.on('connect', (client) => client.on('error', () => {}))
  const runner = await run({ ...common, pgPool, taskList, preset: { worker }, concurrency })
  const stop = async () => {
    await runner.stop()
    await pgPool.end()
  }
  return { stop }
}
