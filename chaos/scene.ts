import { mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PubSub, silentLogger } from '@pgpubsub/core'
import pg from 'pg'
import { migratedDatabase } from '../bench/database.ts'
import { closeClient, mediaClient } from '../bench/media-client.ts'
import { type RestartablePostgres, startEmbedded } from '../tools/postgres-server.ts'
import { Child } from './child.ts'
import type { RecordFile } from './evidence.ts'
import { declareListeners } from './listeners.ts'
import { type Route, startRoute } from './route.ts'
import { beginAudit } from './truth.ts'

/** A server, its database, and who works there. */
export interface Scene {
  readonly server: RestartablePostgres
  readonly databaseUrl: string
  readonly workers: readonly Child[]
  /** Each worker's own way to the server. */
  readonly routes: readonly Route[]
  readonly writers: Child
  readonly writersRoute: Route
  /** Past all routes; told apart by its application name, `chaos`. */
  readonly admin: pg.Pool
  readonly pubsub: PubSub
  /** Where every process writes down what it does. */
  readonly folder: string
  /** What was promised and not kept, as far as it is known. */
  readonly violations: string[]
  /** Handlers of workers that start from now on all succeed. */
  calm: boolean
}

/** Rows that all writers share. */
const sharedRows = 150

// the moments of the commits are part of the truth
const settings = { max_connections: 150, track_commit_timestamp: 'on' }

/** Sets the scene: the listeners are installed, nobody works yet. */
export async function setScene(workers: number, seed: number): Promise<Scene> {
  const server = await startEmbedded({ settings })
  const { url: databaseUrl } = await migratedDatabase(server.url)
  await install(databaseUrl)
  const admin = adminPool(databaseUrl)
  await beginAudit(admin, sharedRows)
  const routes = await Promise.all(Array.from({ length: workers }, () => startRoute(databaseUrl)))
  const writersRoute = await startRoute(databaseUrl)
  const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-chaos-'))
  const violations: string[] = []
  const onCrash = (what: string) => void violations.push(what)
  const record = (name: string, incarnation: number) => join(folder, `${name}#${incarnation}`)
  const scene: Scene = {
    ...{ server, databaseUrl, routes, writersRoute, admin, folder, violations },
    pubsub: new PubSub({ pool: admin, logger: silentLogger }),
    workers: routes.map(({ url }, number) => {
      const name = `worker-${number}`
      const args = (incarnation: number) => [url, record(name, incarnation), name, scene.calm ? 'calm' : 'wild']
      return new Child({ name, program: './worker.ts', args, onCrash })
    }),
    writers: new Child({
      name: 'writers',
      program: './writer.ts',
      args: (incarnation) => [
        ...[writersRoute.url, record('writers', incarnation)],
        ...[(seed % 10_000) * 1_000 + incarnation, sharedRows].map(String),
      ],
      onCrash,
    }),
    calm: false,
  }
  return scene
}

export async function recordsOf({ folder }: Scene): Promise<RecordFile[]> {
  return (await readdir(folder)).map((name) => ({ name, path: join(folder, name) }))
}

/** Ends what runs in this process, and the server. */
export async function strike({ server, routes, writersRoute, admin }: Scene): Promise<void> {
  await Promise.all([...routes, writersRoute].map((route) => route.close()))
  await admin.end()
  await server.stop()
}

function adminPool(databaseUrl: string): pg.Pool {
  const admin = new pg.Pool({ connectionString: databaseUrl, application_name: 'chaos', max: 4 })
  // the server is restarted
  admin.on('error', () => {})
  admin.on('connect', (client) => client.on('error', () => {}))
  return admin
}

async function install(url: string): Promise<void> {
  const prisma = mediaClient(url)
  declareListeners(prisma, async () => {})
  await prisma.$pubsub.install()
  await closeClient(prisma)
}
