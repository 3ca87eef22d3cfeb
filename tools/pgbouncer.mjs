import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const cache = fileURLToPath(new URL('../node_modules/.cache/', import.meta.url))
const unpacked = join(cache, 'pgbouncer')

/**
 * Where PgBouncer is, with the environment that it needs: what PGBOUNCER_BIN names, else the one on the PATH, else the
 * one that {@link fetchPgBouncer} has fetched; else why there is none.
 * @returns {{ command: string, env: Record<string, string> } | { missing: string }}
 */
export function findPgBouncer() {
  const { PGBOUNCER_BIN } = process.env
  for (const command of PGBOUNCER_BIN ? [PGBOUNCER_BIN] : ['pgbouncer', '/usr/sbin/pgbouncer', fetched()]) {
    const env = command === fetched() ? { LD_LIBRARY_PATH: libraries().join(':') } : {}
    if (runs(command, ['--version'], { env: { ...process.env, ...env } })) return { command, env }
  }
  return {
    missing: PGBOUNCER_BIN
      ? `what PGBOUNCER_BIN names does not run: ${PGBOUNCER_BIN}`
      : 'PgBouncer is not on the PATH, PGBOUNCER_BIN names none, and apt-get could not fetch it',
  }
}

/**
 * Fetches PgBouncer's package into a cache of this clone, where nothing has it and apt-get is there: it installs nothing
 * and needs no rights. Where that fails, there is none.
 */
export function fetchPgBouncer() {
  if (!('missing' in findPgBouncer()) || !runs('apt-get', ['--version'])) return
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'pgbouncer-'))
  // apt's own user writes there, where there is one
  chmodSync(folder, 0o777)
  runs('apt-get', ['download', ...quickly, 'pgbouncer', ...ownLibraries()], { cwd: folder })
  const root = join(folder, 'root')
  const packages = readdirSync(folder).filter((file) => file.endsWith('.deb'))
  if (packages.every((file) => runs('dpkg', ['-x', join(folder, file), root])) && existsSync(root)) {
    rmSync(unpacked, { recursive: true, force: true })
    chmodSync(root, 0o755)
    renameSync(root, unpacked)
  }
  rmSync(folder, { recursive: true, force: true })
}

const quickly = ['-o', 'Acquire::Retries=0', '-o', 'Acquire::http::Timeout=10', '-o', 'Acquire::https::Timeout=10']

/** Those of its libraries that few other programs need. Their names differ between distributions. */
function ownLibraries() {
  const { stdout } = spawnSync('apt-cache', ['depends', 'pgbouncer'], { encoding: 'utf8' })
  return [...(stdout ?? '').matchAll(/Depends: (lib(?:c-ares|event)\S*)/g)].map(([, name]) => name)
}

function fetched() {
  return join(unpacked, 'usr/sbin/pgbouncer')
}

function libraries() {
  const folder = join(unpacked, 'usr/lib')
  if (!existsSync(folder)) return []
  return readdirSync(folder, { recursive: true })
    .map(String)
    .filter((file) => file.includes('.so'))
    .map((file) => dirname(join(folder, file)))
    .filter((each, index, all) => all.indexOf(each) === index)
}

function runs(command, args, options = {}) {
  return spawnSync(command, args, { stdio: 'ignore', timeout: 60_000, ...options }).status === 0
}
