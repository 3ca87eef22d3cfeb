import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { expect, test, vi } from './support/test.ts'

const program = fileURLToPath(new URL('./fixtures/start-server.ts', import.meta.url))

async function canConnect(url: string): Promise<boolean> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  try {
    await client.connect()
    await client.end()
    return true
  } catch {
    return false
  }
}

test.each(['SIGKILL', 'SIGINT'] as const)(
  'the embedded server and its data are gone after %s, with nobody left to clean up',
  async (signal) => {
    const folder = await mkdtemp(join(tmpdir(), 'server-test-'))
    await chmod(folder, 0o755) // the server may run as another user
    const { DATABASE_URL: _, ...env } = process.env
    const child = spawn(process.execPath, ['--import', 'tsx', program], {
      env: { ...env, TMPDIR: folder },
      detached: true,
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [url] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
    expect(await canConnect(url)).toBe(true)

    // as Ctrl-C does it: the whole process group
    process.kill(-child.pid!, signal)

    const left = async () => (await readdir(folder)).filter((name) => !name.startsWith('tsx-'))
    await vi.waitFor(async () => expect(await left()).toEqual([]), { timeout: 20_000, interval: 50 })
    expect(await canConnect(url)).toBe(false)
    await rm(folder, { recursive: true })
  },
)
