import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { Argument } from '@commander-js/extra-typings'

/** The module with the client: required, unless `"pgpubsub": { "module": … }` of the package.json says which it is. */
export function moduleArgument() {
  const argument = new Argument('<module>', 'file that exports the Prisma Client with its listeners')
  const module = moduleOfPackage(process.cwd())
  if (module !== undefined) argument.argOptional().default(module)
  return argument
}

/** Of the package that the folder belongs to. */
function moduleOfPackage(folder: string): string | undefined {
  const file = join(folder, 'package.json')
  if (!existsSync(file)) return dirname(folder) === folder ? undefined : moduleOfPackage(dirname(folder))
  const module = settingIn(readFileSync(file, 'utf8'))
  return module === undefined ? undefined : resolve(folder, module)
}

function settingIn(packageJson: string): string | undefined {
  try {
    const { module } = JSON.parse(packageJson).pgpubsub ?? {}
    return typeof module === 'string' ? module : undefined
  } catch {
    // what is wrong with it, npm tells
    return undefined
  }
}
