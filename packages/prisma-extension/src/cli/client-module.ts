import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { PubSubError } from '@pgpubsub/core'
import type { PubSubClient } from '../pubsub-client.js'
import { describe } from './failure.js'
import { importTypeScript } from './typescript.js'

/** A Prisma Client with the extension, as far as the command line uses it. */
export interface ExtendedClient {
  readonly $pubsub: PubSubClient
  $disconnect?(): Promise<void>
}

/**
 * Imports the module and finds the client that it exports.
 * @throws PGPUBSUB_INVALID_MODULE, and what the module itself throws
 */
export async function importClient(path: string): Promise<ExtendedClient> {
  const file = resolve(path)
  if (!existsSync(file)) throw invalid(`There is no module ${file}.`)
  if (/\.[cm]?tsx?$/.test(file)) await importTypeScript(file)
  const module = await import(pathToFileURL(file).href).catch((cause: unknown) => {
    throw new Error(`${path} cannot be imported (--log-level debug shows where): ${describe(cause)}`, { cause })
  })
  return clientOf(module, path)
}

async function clientOf(module: Exports, path: string): Promise<ExtendedClient> {
  // a CommonJS module is the default export of itself
  const inner = (module.default ?? {}) as Exports
  const exported = [module.default, module.prisma, inner.default, inner.prisma]
  const client = exported.find(isClient) ?? (await exported.find(isFunction)?.())
  if (isClient(client)) return client
  throw invalid(
    `${path} exports no Prisma Client with the pubsub extension. Export it as "export const prisma = new PrismaClient(…).$extends(pubsub(…))", as the default export, or an async function that returns it.`,
  )
}

interface Exports {
  readonly default?: unknown
  readonly prisma?: unknown
}

const isFunction = (value: unknown): value is () => unknown => typeof value === 'function'

function isClient(value: unknown): value is ExtendedClient {
  const { $pubsub } = (value ?? {}) as Partial<ExtendedClient>
  return typeof $pubsub?.listen === 'function' && typeof $pubsub.logTo === 'function'
}

const invalid = (message: string) => new PubSubError('PGPUBSUB_INVALID_MODULE', message)
