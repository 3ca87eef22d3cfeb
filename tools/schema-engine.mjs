import { existsSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

const standIn = fileURLToPath(new URL('./prisma-schema-engine.mjs', import.meta.url))

/**
 * The environment in which Prisma's CLI finds a schema engine: its own where that was downloaded, or where the caller
 * has named one; else the stand-in beside this file, which needs no download.
 * @returns {Record<string, string>}
 */
export function schemaEngineEnvironment() {
  if (process.env.PRISMA_SCHEMA_ENGINE_BINARY || nativeEngineIsThere()) return {}
  return { PRISMA_SCHEMA_ENGINE_BINARY: standIn }
}

function nativeEngineIsThere() {
  const prisma = createRequire(createRequire(import.meta.url).resolve('prisma/package.json'))
  const engines = dirname(prisma.resolve('@prisma/engines/package.json'))
  return existsSync(engines) && readdirSync(engines).some((file) => file.startsWith('schema-engine-'))
}
