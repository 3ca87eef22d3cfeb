import { type CommandUnknownOpts, Option } from '@commander-js/extra-typings'
import { PubSub } from '@pgpubsub/core'
import { PubSubClient } from '../pubsub-client.js'
import type { ExtendedClient } from './client-module.js'

/** What the commands that also work without a module are told instead. */
export const urlOption = () =>
  new Option('--url <url>', 'without a module: where to connect to (default: DATABASE_URL)')
export const schemaOption = () =>
  new Option('--schema <name>', "without a module: the engine's schema (default: pgpubsub)")

/** The module, or a client without listeners for the connection given. Neither or both is wrong usage, and ends the process. */
export function moduleOrUrl(
  module: string | undefined,
  { url, schema }: { url?: string | undefined; schema?: string | undefined },
  command: CommandUnknownOpts,
): string | (() => ExtendedClient) {
  if (module !== undefined && (url ?? schema) !== undefined) {
    return command.error('error: the module says how to connect: give either it, or --url and --schema')
  }
  const connectionString = url ?? process.env.DATABASE_URL ?? ''
  if (module === undefined && connectionString === '') {
    return command.error('error: say where to connect to: give a module, or --url, or set DATABASE_URL')
  }
  return module ?? (() => withoutModule(connectionString, schema))
}

function withoutModule(connectionString: string, schema?: string): ExtendedClient {
  return { $pubsub: new PubSubClient(new PubSub({ connectionString, ...(schema !== undefined && { schema }) })) }
}
