import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

/** Programs of this example, each a process of its own, until disposed of. */
export class Programs implements AsyncDisposable {
  /** What each wrote when it was ready. */
  readonly ready: Promise<string[]>
  readonly #children: ChildProcess[]

  constructor(files: readonly string[], env: Record<string, string>, signal: AbortSignal) {
    this.#children = files.map((file) => start(file, env, signal))
    this.ready = Promise.all(this.#children.map(firstLine))
    this.ready.catch(() => {}) // reported where it is awaited, if it still is
  }

  /** Asks all of them to stop, and waits until they have. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map(stop))
  }
}

function start(file: string, env: Record<string, string>, signal: AbortSignal): ChildProcess {
  const child = fork(new URL(`../${file}`, import.meta.url), {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  // Ctrl-C reaches every process at once, the server too: what they then say about each other is no news
  child.stderr?.on('data', (text) => signal.aborted || process.stderr.write(text))
  return child
}

async function firstLine(child: ChildProcess): Promise<string> {
  const ended = once(child, 'exit').then(() => Promise.reject(new Error('A program ended before it was ready.')))
  const [line] = await Promise.race([once(createInterface(child.stdout!), 'line'), ended])
  return line
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const patience = setTimeout(() => child.kill('SIGKILL'), 20_000)
  await exited
  clearTimeout(patience)
}
