/** Runs a command with DATABASE_URL naming a PostgreSQL that lives as long as the command: `with-postgres prisma migrate dev`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startPostgres } from './postgres-server.ts'
import { schemaEngineEnvironment } from './schema-engine.mjs'

const [command, ...args] = process.argv.slice(2)
if (!command) {
  console.error('usage: node --import tsx tools/with-postgres.ts COMMAND [ARGUMENTS]')
  process.exit(2)
}
const server = await startPostgres()
try {
  const env = { ...process.env, ...schemaEngineEnvironment(), DATABASE_URL: server.url }
  const child = spawn(command, args, { stdio: 'inherit', env })
  const [code] = await once(child, 'exit')
  process.exitCode = code ?? 1
} finally {
  await server.stop()
}
