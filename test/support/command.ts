import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, vi } from 'vitest'

const bin = fileURLToPath(new URL('../../packages/prisma-extension/bin/pgpubsub.js', import.meta.url))

/** `pgpubsub` as a process of its own, with what it has written. */
export class Command {
  stdout = ''
  stderr = ''
  readonly #child: ChildProcess
  readonly #closed: Promise<number | null>

  /**
   * @param options.detached in a process group of its own, as a terminal starts it
   * @param options.cwd the folder that it is started in
   */
  constructor(
    args: readonly string[],
    env: Record<string, string> = {},
    options: { detached?: boolean; cwd?: string } = {},
  ) {
    const { NO_COLOR: _, FORCE_COLOR: __, ...own } = process.env
    this.#child = spawn(process.execPath, [bin, ...args], {
      env: { ...own, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      ...options,
    })
    this.#child.stdout?.on('data', (text) => {
      this.stdout += text
    })
    this.#child.stderr?.on('data', (text) => {
      this.stderr += text
    })
    this.#closed = new Promise((resolve) => this.#child.once('close', resolve))
  }

  /** The exit code, once it has ended. */
  exitCode(): Promise<number | null> {
    return this.#closed
  }

  get pid(): number {
    return this.#child.pid as number
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The lines of its JSON log. */
  // biome-ignore lint/suspicious/noExplicitAny: a log line has whatever its message has
  get log(): any[] {
    return this.stdout
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line))
  }

  /** The first log line with this message, as soon as there is one. */
  logged(message: string): Promise<Record<string, unknown>> {
    return vi.waitFor(
      () => {
        const line = this.log.find(({ msg }) => msg === message)
        expect(line, `${this.stdout}${this.stderr}`).toBeDefined()
        return line
      },
      { timeout: 20_000, interval: 10 },
    )
  }

  /** Ends it, if it has not. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#closed
  }
}
