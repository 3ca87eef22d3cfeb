import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, vi } from 'vitest'
import type { TestDatabase } from './test.ts'

/**
 * A TypeScript program of `test/fixtures` as a process of its own, which tells the test things by `process.send`. It ends
 * with the test.
 */
export class Program {
  readonly messages: unknown[] = []
  stderr = ''
  readonly #child: ChildProcess
  readonly #exit: Promise<unknown>

  constructor(
    database: TestDatabase,
    name: string,
    env: Record<string, string> = {},
    onMessage: (message: unknown) => void = () => {},
  ) {
    const file = fileURLToPath(new URL(`../fixtures/${name}`, import.meta.url))
    this.#child = fork(file, {
      execArgv: ['--import', 'tsx'],
      env: { ...process.env, DATABASE_URL: database.url, ...env },
      silent: true,
    })
    this.#child.stderr?.on('data', (text) => {
      this.stderr += text
    })
    this.#child.on('message', (message) => {
      this.messages.push(message)
      onMessage(message)
    })
    this.#exit = once(this.#child, 'exit')
    database.closeLater(() => this.kill())
  }

  /** The next message; rejects when the program ends before. */
  async message(): Promise<unknown> {
    const ended = this.#exit.then(() => {
      throw new Error(`the program has ended: ${this.stderr}`)
    })
    ended.catch(() => {})
    const [message] = (await Promise.race([once(this.#child, 'message'), ended])) as unknown[]
    return message
  }

  /** Waits for a message with these members. */
  async told(message: object): Promise<void> {
    await vi.waitFor(() => expect(this.messages).toContainEqual(expect.objectContaining(message)), {
      timeout: 20_000,
      interval: 5,
    })
  }

  send(message: string): void {
    this.#child.send(message)
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** Waits until it has ended. */
  async ended(): Promise<void> {
    await this.#exit
  }

  async kill(): Promise<void> {
    this.signal('SIGKILL')
    await this.#exit
  }
}
