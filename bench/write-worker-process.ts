import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A worker in a process of its own, as it runs in production, that counts what it handles. It has to be told to listen. */
export interface WriteWorker extends AsyncDisposable {
  listen(): Promise<void>
  stop(): Promise<void>
  /** Waits until it has handled `count` more rows. @throws when one was handled twice, or when too many were */
  expectHandled(count: number): Promise<void>
}

export type WriteCommand = 'listen' | 'stop'

/** The worker's report, sent after each command and whenever it has drained. */
export interface WriteReport {
  readonly handled: number
  readonly repeated: number
  readonly listening: boolean
}

/** Milliseconds without a report after which what is expected is given up. */
const patience = 30_000

export async function startWriteWorker(url: string): Promise<WriteWorker> {
  const child = fork(fileURLToPath(new URL('./write-worker.ts', import.meta.url)), [url], { stdio: 'inherit' })
  let report: WriteReport | null = null
  let reported = () => {}
  let ended: string | null = null
  child.on('message', (message) => {
    report = message as WriteReport
    reported()
  })
  child.on('exit', (code) => {
    ended = `The worker process ended with ${code}.`
    reported()
  })
  const until = async (reached: (report: WriteReport) => boolean, otherwise: string): Promise<WriteReport> => {
    while (report === null || !reached(report)) {
      if (ended !== null) throw new Error(ended)
      await within(patience, new Promise<void>((resolve) => (reported = resolve)), otherwise)
    }
    return report
  }
  const tell = async (command: WriteCommand) => {
    child.send(command)
    await until(({ listening }) => listening === (command === 'listen'), `The worker did not ${command}`)
  }
  await until(() => true, 'The worker did not start')
  let expected = 0
  return {
    listen: () => tell('listen'),
    stop: () => tell('stop'),
    async expectHandled(count) {
      expected += count
      const { handled, repeated } = await until((told) => told.handled >= expected, `${expected} rows were not handled`)
      if (handled === expected && repeated === 0) return
      throw new Error(`${expected} rows were written; ${handled} handled, ${repeated} of them again.`)
    },
    async [Symbol.asyncDispose]() {
      if (ended !== null) return
      const exited = once(child, 'exit')
      child.disconnect()
      await exited
    },
  }
}

async function within(milliseconds: number, work: Promise<void>, otherwise: string): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${otherwise} within ${milliseconds} ms.`)), milliseconds)
  })
  await Promise.race([work, late]).finally(() => clearTimeout(timer))
}
