import { type ChildProcess, fork } from 'node:child_process'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { Logger } from 'pino'
import { workerLogTo } from './log.js'
import { restartBackoff } from './restart-backoff.js'
import { type Assignment, assign, listeningMessage } from './supervised.js'
import { wholeLines } from './whole-lines.js'

const bin = fileURLToPath(new URL('../../bin/pgpubsub.js', import.meta.url))

/** A worker that ran for this many milliseconds has started well: its next failure is its first again. */
const ranWellMs = 60_000

/** How long what a worker has written may take to arrive after its end. What it started may have its streams still. */
const lastLinesMs = 1_000

/** What is read of a worker, and where it goes. */
const outputs = [
  [1, 1],
  [2, 2],
  [workerLogTo, 1],
] as const

/** How a process ended. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface SupervisedWorkerOptions {
  /** Its arguments: those of this very command. */
  readonly args: readonly string[]
  readonly assignment: () => Assignment
  readonly log: Logger
  /** Where whole lines go. */
  readonly write: (to: 1 | 2, lines: string) => void
  /** Before each of its lines. */
  readonly prefix: (to: 1 | 2) => string
  /** Called each time that it has started. */
  readonly onListening: () => void
  /** True where an end is the end of the command, not of this worker alone. */
  readonly isFinal: (ending: Ending) => boolean
}

/** One of the supervisor's workers: a process that is started again whenever it ends, until it is stopped. */
export class SupervisedWorker {
  readonly #options: SupervisedWorkerOptions
  readonly #stopping = new AbortController()
  #child: ChildProcess | undefined

  constructor(options: SupervisedWorkerOptions) {
    this.#options = options
  }

  /** Runs until it is stopped, or ends in a way that is final. @returns its last end; null where nothing ran any more */
  async run(): Promise<Ending | null> {
    for (let failures = 0; !this.#stopping.signal.aborted; ) {
      const begun = performance.now()
      const ending = await this.#once()
      if (this.#stopping.signal.aborted || this.#options.isFinal(ending)) return ending
      failures = performance.now() - begun < ranWellMs ? failures + 1 : 1
      await this.#pause(ending, restartBackoff(failures))
    }
    return null
  }

  /** Passes the signal on, and starts no other process. */
  stop(signal: NodeJS.Signals): void {
    this.#stopping.abort()
    this.#child?.kill(signal)
  }

  async #once(): Promise<Ending> {
    try {
      return await this.#process()
    } catch (error) {
      // there are too many processes, or too little memory
      this.#options.log.error({ err: error }, 'a worker cannot be started')
      return { code: null, signal: null }
    }
  }

  async #process(): Promise<Ending> {
    const { args, assignment, log, write, prefix, onListening } = this.#options
    const given = assignment()
    const child = fork(bin, args, { env: assign(given), stdio: ['ignore', 'pipe', 'pipe', 'ipc', 'pipe'] })
    this.#child = child
    const ended = new Promise<Ending>((resolve, reject) => {
      child.once('exit', (code, signal) => resolve({ code, signal }))
      child.on('error', reject)
    })
    const closed = new Promise((resolve) => child.once('close', resolve))
    // the module may send messages of its own
    child.on('message', (message) => message === listeningMessage && onListening())
    for (const [from, to] of outputs) {
      const stream = child.stdio[from]
      const passOn = (lines: string) => write(to, lines)
      if (stream instanceof Readable) wholeLines(stream, () => prefix(to), passOn)
    }
    log.debug({ worker: given.worker, workerPid: child.pid }, 'started a worker')
    const ending = await ended
    await Promise.race([closed, sleep(lastLinesMs)])
    return ending
  }

  async #pause({ code, signal }: Ending, restartInMs: number): Promise<void> {
    const { worker } = this.#options.assignment()
    const what = { worker, workerPid: this.#child?.pid, code, signal, restartInMs }
    this.#options.log.warn(what, 'a worker ended, and will be started again')
    await sleep(restartInMs, undefined, { signal: this.#stopping.signal }).catch(() => {})
  }
}
