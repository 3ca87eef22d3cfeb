import { readFileSync } from 'node:fs'

const manifest = new URL('../package.json', import.meta.url)

/**
 * The command that runs pnpm, in the version of package.json, where only npm is installed. What was fetched once is not
 * asked for again.
 * @returns {[string, string[]]}
 */
export function pnpm(/** @type {string[]} */ ...args) {
  const { packageManager } = JSON.parse(readFileSync(manifest, 'utf8'))
  return ['npm', ['exec', '--yes', '--prefer-offline', `--package=${packageManager}`, '--', 'pnpm', ...args]]
}
