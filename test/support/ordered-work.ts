import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { TableListenerOptions } from '@pgpubsub/core'
import { attemptBytes } from './attempt-log.ts'
import { createItems, onItem } from './items.ts'
import { type Life, readLife } from './row-history.ts'
import type { TestDatabase } from './test.ts'

/** What a process of fixtures/ordered-worker.ts is told. */
export interface OrderedWork {
  readonly url: string
  /** The file to which it writes its attempts. */
  readonly log: string
  readonly options: WorkOptions
}

/** Options of the listener that survive the way to another process. */
export type WorkOptions = Pick<TableListenerOptions, 'batchSize' | 'concurrency' | 'transactional' | 'lease' | 'batch'>

/** Failed attempts after which a change is dead. */
export const attempts = 6

/** The changes that always fail, and become dead letters: at the beginning, the end and in between. */
export const isPoison = (row: number, change: number): boolean => (row * 7 + change) % 501 === 3

export interface Scenario {
  readonly rows: number
  /** Of each row. */
  readonly changes: number
  /** How often a process is killed and started again. */
  readonly kills: number
  readonly options: WorkOptions
}

const program = fileURLToPath(new URL('../fixtures/ordered-worker.ts', import.meta.url))

/** Two processes of two workers each, while a table is written to. One or the other is killed in the midst of its work. */
export async function workThroughKills(database: TestDatabase, scenario: Scenario): Promise<Life[]> {
  const { options } = scenario
  await createItems(database)
  const engine = database.core()
  onItem(engine, options, () => {})
  await engine.install()
  const folder = await mkdtemp(join(tmpdir(), 'ordered-work-'))
  const processes = [0, 1].map((number) => new WorkerProcess(database.url, join(folder, String(number)), options))
  const over = new AbortController()
  const killAll = () => Promise.all(processes.map((each) => each.kill()))
  try {
    await Promise.all(processes.map((each) => each.start()))
    await Promise.all([writeChanges(database, scenario), killSome(processes, scenario, over.signal)])
    await untilDrained(database, processes)
    await killAll()
    return processes.flatMap((each) => each.lives())
  } finally {
    over.abort()
    await killAll()
    await rm(folder, { recursive: true })
  }
}

/** Two writers with rows of their own: in transactions of a few updates, each of all their rows. */
async function writeChanges(database: TestDatabase, { rows, changes }: Scenario): Promise<void> {
  await database.sql('insert into item select id, 1 from generate_series(1, $1::int) id', [rows])
  const half = Math.floor(rows / 2)
  const write = async (from: number, to: number) => {
    const writer = await database.pool.connect()
    for (let left = changes - 1; left > 0; ) {
      const updates = Math.min(left, 1 + Math.floor(Math.random() * 5))
      await writer.query('begin')
      for (let update = 0; update < updates; update++) {
        await writer.query('update item set value = value + 1 where id between $1 and $2', [from, to])
      }
      await writer.query('commit')
      left -= updates
    }
    writer.release()
  }
  await Promise.all([write(1, half), write(half + 1, rows)])
}

/** Kills one process or the other, again and again over the first nine tenths of the work. */
async function killSome(
  processes: readonly WorkerProcess[],
  { rows, changes, kills }: Scenario,
  over: AbortSignal,
): Promise<void> {
  const begun = async () => (await Promise.all(processes.map((each) => each.attempts()))).reduce((a, b) => a + b)
  for (let kill = 0; kill < kills; kill++) {
    const after = ((kill + Math.random()) / kills) * 0.9 * rows * changes
    while (!over.aborted && (await begun()) < after) await sleep(2)
    if (over.aborted) return
    const victim = processes[Math.floor(Math.random() * processes.length)] as WorkerProcess
    await victim.kill()
    if (!over.aborted) await victim.start()
  }
}

const mostDrainMs = 120_000

async function untilDrained(database: TestDatabase, processes: readonly WorkerProcess[]): Promise<void> {
  for (const begun = performance.now(); performance.now() < begun + mostDrainMs; ) {
    const [{ left }] = await database.sql('select exists (select from pgpubsub.notification) as left')
    if (!left) return
    if (processes.some((each) => each.hasDied)) throw new Error('a worker process has died that nobody killed')
    await sleep(20)
  }
  throw new Error(`there are still notifications, ${mostDrainMs / 1000} s after the last write`)
}

/** A program that is started again and again, and the logs of its lives. */
class WorkerProcess {
  readonly #work: Omit<OrderedWork, 'log'>
  readonly #path: string
  readonly #lives: string[] = []
  #child: ChildProcess | undefined

  constructor(url: string, path: string, options: WorkOptions) {
    this.#work = { url, options }
    this.#path = path
  }

  /** Returns when it listens. */
  async start(): Promise<void> {
    const log = `${this.#path}-${this.#lives.length}`
    this.#lives.push(log)
    const work: OrderedWork = { ...this.#work, log }
    const child = spawn(process.execPath, ['--import', 'tsx', program, JSON.stringify(work)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    this.#child = child
    const [told] = await Promise.race([once(child, 'message'), once(child, 'exit')])
    if (told !== 'listening') throw new Error('a worker process has ended before it listened')
  }

  /** Ends it as it stands. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
  }

  get hasDied(): boolean {
    return this.#child?.exitCode != null
  }

  /** How many attempts it has made in all its lives, about. */
  async attempts(): Promise<number> {
    const logs = await Promise.all(this.#lives.map((log) => stat(log).catch(() => ({ size: 0 }))))
    return logs.reduce((bytes, log) => bytes + log.size, 0) / (2 * attemptBytes)
  }

  lives(): Life[] {
    return this.#lives.map(readLife)
  }
}
