import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** A process with a worker whose handler needs the CPU. */
export interface Hasher {
  begin(): void
  /** @returns how many changes it has handled, when the last of them is done with */
  end(): Promise<number>
  kill(): void
}

/**
 * @param rounds of hashing for each change
 * @param url of the database whose changes it handles; null: it only hashes
 */
export async function startHasher(rounds: number, url: string | null): Promise<Hasher> {
  const program = fileURLToPath(new URL('./hashing-worker.ts', import.meta.url))
  const child = fork(program, [String(rounds), ...(url === null ? [] : [url])], { stdio: 'inherit' })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`The worker process ended with ${code}.`)
  })
  ended.catch(() => {})
  const message = async () => (await Promise.race([once(child, 'message'), ended]))[0]
  await message()
  return {
    begin: () => void child.send('begin'),
    end: async () => {
      child.send('end')
      return message()
    },
    kill: () => void child.kill('SIGKILL'),
  }
}
