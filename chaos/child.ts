import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { now } from './clock.ts'

export interface ChildOptions {
  /** How messages call it. */
  readonly name: string
  /** File name of its program in this folder. */
  readonly program: string
  /** Arguments of its next incarnation, which counts from 1. */
  readonly args: (incarnation: number) => string[]
  /** Called when it has ended in a way that nobody asked for. */
  readonly onCrash: (what: string) => void
}

/** Milliseconds that a process has to end in, once it was told to: its grace period, and what a busy machine takes. */
const endingMs = 30_000

const running = new Set<ChildProcess>()
// also those that are frozen, and could not notice
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** A process that is killed and started again: one name, many incarnations. */
export class Child {
  readonly name: string
  incarnation = 0
  readonly #options: ChildOptions
  #process: ChildProcess | null = null
  #expected = false
  #errors = ''

  constructor(options: ChildOptions) {
    this.name = options.name
    this.#options = options
  }

  /** Starts the next incarnation, and waits until it says that it is ready. */
  async start(): Promise<void> {
    const { program, args, onCrash } = this.#options
    this.#expected = false
    this.#errors = ''
    const child = fork(fileURLToPath(new URL(program, import.meta.url)), args(++this.incarnation), {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    this.#process = child
    running.add(child)
    child.stderr?.on('data', (text) => {
      this.#errors = (this.#errors + text).slice(-4_000)
    })
    child.on('error', () => {}) // a message to one that is just ending
    child.on('exit', (code, signal) => {
      running.delete(child)
      const asked = this.#expected && (signal === 'SIGKILL' || code === 0)
      if (!asked) onCrash(`${this.name}#${this.incarnation} ended with ${signal ?? code}: ${this.#errors.trim()}`)
    })
    await Promise.race([once(child, 'message'), once(child, 'exit')])
  }

  /** Kills it, and waits until it is gone. @returns when it was */
  async kill(): Promise<number> {
    await this.#end('SIGKILL')
    return now()
  }

  /** Asks it to stop, and waits until it has ended by itself. @returns false where it has not, and was killed */
  async terminate(): Promise<boolean> {
    const late = setTimeout(() => this.#process?.kill('SIGKILL'), endingMs)
    const signal = await this.#end('SIGTERM')
    clearTimeout(late)
    return signal !== 'SIGKILL'
  }

  freeze(): void {
    this.#process?.kill('SIGSTOP')
  }

  thaw(): void {
    this.#process?.kill('SIGCONT')
  }

  send(message: string): void {
    if (this.#process?.connected) this.#process.send(message, () => {})
  }

  async #end(signal: NodeJS.Signals): Promise<NodeJS.Signals | null> {
    const child = this.#process
    if (!child || child.exitCode !== null || child.signalCode !== null) return null
    this.#expected = true
    const exit = once(child, 'exit')
    child.kill(signal)
    const [, endedBy] = await exit
    return endedBy
  }
}
