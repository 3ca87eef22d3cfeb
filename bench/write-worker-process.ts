import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A worker in a process of its own, as it runs in production, that counts what it handles. */
export interface WriteWorker extends AsyncDisposable {
  /** Waits until it has handled `count` more rows. @throws when one was handled twice, or when too many were */
  expectHandled(count: number): Promise<void>
}

/** The worker's report, sent whenever it has drained. */
export interface WriteReport {
  readonly handled: number
  readonly repeated: number
}

/** Milliseconds without a report after which those that are expected are given up. */
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
  const reports = async (handled: number): Promise<WriteReport> => {
    while (report === null || report.handled < handled) {
      if (ended !== null) throw new Error(ended)
      await within(patience, new Promise<void>((resolve) => (reported = resolve)), `${handled} rows were not handled`)
    }
    return report
  }
  await reports(0)
  let expected = 0
  return {
    async expectHandled(count) {
      expected += count
      const { handled, repeated } = await reports(expected)
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
