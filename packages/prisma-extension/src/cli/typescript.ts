import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Lets Node import TypeScript, for a module at `file`, with the tsconfig.json that is nearest to it: its paths, its JSX,
 * its decorators. In packages of type "commonjs" too.
 */
export async function importTypeScript(file: string): Promise<void> {
  const given = process.env.TSX_TSCONFIG_PATH
  const tsconfig = given ?? nearest('tsconfig.json', dirname(file))
  if (tsconfig) process.env.TSX_TSCONFIG_PATH = tsconfig
  const [commonjs, esm] = await Promise.all([import('tsx/cjs/api'), import('tsx/esm/api')])
  commonjs.register()
  esm.register()
  // what handlers start is not this module's
  if (given === undefined) delete process.env.TSX_TSCONFIG_PATH
}

function nearest(name: string, folder: string): string | undefined {
  const path = join(folder, name)
  if (existsSync(path)) return path
  return dirname(folder) === folder ? undefined : nearest(name, dirname(folder))
}
