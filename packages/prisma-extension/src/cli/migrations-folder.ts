import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, extname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Migration } from '@pgpubsub/core'

/** One migration of Prisma's: a folder with an SQL file in it. */
export interface MigrationFile {
  /** Its folder's name, which begins with a time. */
  readonly name: string
  readonly file: string
  readonly sql: string
}

/** The folder's migrations in the order in which Prisma applies them: that of their names. */
export async function readMigrations(folder: string): Promise<MigrationFile[]> {
  if (!existsSync(folder)) return []
  const entries = await readdir(folder, { withFileTypes: true })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  const files = names.sort().map((name) => ({ name, file: join(folder, name, 'migration.sql') }))
  const present = files.filter(({ file }) => existsSync(file))
  return Promise.all(present.map(async (migration) => ({ ...migration, sql: await readFile(migration.file, 'utf8') })))
}

/**
 * Writes what is missing: as a new migration behind the others. Where the last one must have triggers out of its way, both
 * go into that: it is one transaction, and no change is missed between them.
 * @returns the files written
 */
export async function writeMigration(
  folder: string,
  name: string,
  migrations: readonly MigrationFile[],
  { sql, releases }: Migration,
): Promise<string[]> {
  const last = migrations.length - 1
  const written: string[] = []
  for (const [index, release] of releases) {
    const { file, sql: given } = migrations[index] as MigrationFile
    await writeFile(file, index === last ? `${release}\n${given.trimEnd()}\n\n${sql}` : `${release}\n${given}`)
    written.push(file)
  }
  if (releases.has(last)) return written
  const target = join(folder, `${timestamp(migrations[last]?.name)}_${name}`)
  await mkdir(target, { recursive: true })
  await writeFile(join(target, 'migration.sql'), sql)
  return [...written, join(target, 'migration.sql')]
}

/** As Prisma writes it, and behind the newest migration, also where that was made in this very second. */
function timestamp(newest = ''): string {
  const digits = (time: number) => new Date(time).toISOString().replaceAll(/\D/g, '').slice(0, 14)
  const [, year, month, day, hour, minute, second] =
    /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/.exec(newest)?.map(Number) ?? []
  const after = second === undefined ? 0 : Date.UTC(year ?? 0, (month ?? 1) - 1, day, hour, minute, second) + 1000
  return digits(Math.max(Date.now(), after))
}

/** What `prisma/config` of the project's own Prisma is, as far as it is needed. */
interface PrismaConfigLoader {
  loadConfigFromFile(input: { configRoot?: string; configFile?: string }): Promise<{
    resolvedPath: string | null
    config?: { schema?: string; migrations?: { path?: string } }
    error?: { _tag: string; error?: Error }
  }>
}

/**
 * Where the project's migrations are: as its Prisma config says, else beside the schema, else in prisma/migrations. The
 * config is read by the project's own Prisma.
 */
export async function migrationsFolder(configFile?: string, root = process.cwd()): Promise<string> {
  const loader = await prismaConfigLoader(root)
  const loaded = await loader?.loadConfigFromFile({ configRoot: root, ...(configFile !== undefined && { configFile }) })
  if (loaded?.error) {
    const { _tag, error } = loaded.error
    throw new Error(
      `The Prisma config ${loaded.resolvedPath ?? configFile} cannot be read: ${error?.message ?? _tag}. Name the folder with --migrations.`,
      { cause: error },
    )
  }
  const { migrations, schema } = loaded?.config ?? {}
  if (migrations?.path) return migrations.path
  if (schema) return join(extname(schema) === '.prisma' ? dirname(schema) : schema, 'migrations')
  return join(root, 'prisma/migrations')
}

async function prismaConfigLoader(root: string): Promise<PrismaConfigLoader | null> {
  try {
    const prisma = createRequire(join(root, 'package.json')).resolve('prisma/package.json')
    return await import(pathToFileURL(createRequire(prisma).resolve('@prisma/config')).href)
  } catch (error) {
    // a project without Prisma's command line, in production for instance
    if ((error as { code?: string }).code === 'MODULE_NOT_FOUND') return null
    throw error
  }
}
