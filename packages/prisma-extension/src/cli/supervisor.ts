import { setTimeout as sleep } from 'node:timers/promises'
import { type Logger, pino } from 'pino'
import { exitCodes } from './exit-code.js'
import { createLog, type LogOptions } from './log.js'
import { stopSignal } from './stop-signal.js'
import { type Ending, SupervisedWorker } from './supervised-worker.js'

/** Milliseconds after the grace period until workers that still run are killed: a second more than they need at most. */
const endingMs = 12_000

export interface SupervisorOptions extends LogOptions {
  readonly processes: number
  /** Seconds. */
  readonly grace: number
  readonly install?: boolean | undefined
}

/**
 * Runs the command in so many processes, each a worker of its own, and ends when they have ended.
 *
 *   first worker: install, import, listen ─► listening ─► the others start ─► whichever ends is started again
 *        └─► could not start: the command ends as that one did
 */
export async function supervise(options: SupervisorOptions): Promise<never> {
  const log = createLog(options, 1)
  const supervisor = new Supervisor(options, log)
  // nobody else may end with a second signal: the workers are killed first
  const stop = stopSignal(() => supervisor.kill())
  const ended = supervisor.run()
  const signal = await Promise.race([stop, ended.then(() => null)])
  if (signal) {
    log.info({ signal, graceSeconds: options.grace }, 'stopping')
    supervisor.stop(signal)
  }
  const exitCode = await ended
  if (signal) log.info('stopped')
  return process.exit(exitCode)
}

class Supervisor {
  readonly #options: SupervisorOptions
  readonly #log: Logger
  readonly #workers: SupervisedWorker[]
  readonly #outputs = { 1: pino.destination({ dest: 1, sync: true }), 2: pino.destination({ dest: 2, sync: true }) }
  #startOthers: () => void = () => {}
  #started = false

  constructor(options: SupervisorOptions, log: Logger) {
    this.#options = options
    this.#log = log
    this.#workers = Array.from({ length: options.processes }, (_, index) => this.#worker(index + 1))
  }

  /** @returns the exit code of the command, when all workers have ended. */
  async run(): Promise<number> {
    const [first, ...others] = this.#workers as [SupervisedWorker, ...SupervisedWorker[]]
    const started = new Promise<void>((resolve) => {
      this.#startOthers = resolve
    })
    const running = first.run()
    await Promise.race([started, running])
    const endings = await Promise.all([running, ...(this.#started ? others.map((worker) => worker.run()) : [])])
    return Math.max(...endings.map(exitCodeOfEnding))
  }

  stop(signal: NodeJS.Signals): void {
    for (const worker of this.#workers) worker.stop(signal)
    void this.#killLate()
  }

  kill(): void {
    for (const worker of this.#workers) worker.stop('SIGKILL')
  }

  /** A handler that never gives its thread back lets its process not even see the signal. */
  async #killLate(): Promise<void> {
    await sleep(this.#options.grace * 1000 + endingMs)
    this.#log.error('workers that did not end in time are killed')
    this.kill()
  }

  #worker(worker: number): SupervisedWorker {
    const { install, logFormat } = this.#options
    return new SupervisedWorker({
      args: process.argv.slice(2),
      assignment: () => ({ worker, install: install === true && !this.#started, logFormat }),
      log: this.#log,
      write: (to, lines) => void this.#outputs[to].write(lines),
      // an error at the start is that of the command
      prefix: (to) => (logFormat === 'pretty' && (to === 1 || this.#started) ? `worker ${worker} | ` : ''),
      onListening: () => {
        this.#started = true
        this.#startOthers()
      },
      // as without a supervisor, what fails at the start is an error of the command; but not a process that was killed
      isFinal: ({ code }) => !this.#started && code !== null,
    })
  }
}

/** One that was told to end before it could listen was ended by the signal itself. */
function exitCodeOfEnding(ending: Ending | null): number {
  if (ending === null || ending.signal === 'SIGTERM' || ending.signal === 'SIGINT') return exitCodes.stopped
  return ending.code ?? exitCodes.failure
}
