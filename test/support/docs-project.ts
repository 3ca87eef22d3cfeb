import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { schemaEngineEnvironment } from '../../tools/schema-engine.mjs'
import { type Block, blocksOf, root, taughtBlocks } from './docs.ts'

/** A block of TypeScript as a module of a project. */
export interface ShownModule {
  block: Block
  /** Path from the project's folder. */
  file: string
  /** How many lines stand before the block's own. */
  before: number
  runs: boolean
}

export interface DocsProject {
  folder: string
  modules: ShownModule[]
  /** SQL that makes the tables of the models that the pages use. */
  tables: string
  remove(): Promise<void>
}

const config = `export default { schema: 'schema.prisma', datasource: { url: process.env.DATABASE_URL } }`

const header = `
generator client {
  provider = "prisma-client"
  output   = "./generated/prisma"
}
datasource db {
  provider = "postgresql"
}
`

/**
 * A project as the reader of the pages has one: the models of `docs/README.md`, a client, and each block as a module of its own.
 * It is inside the repository, so that its packages are found, where neither git nor the other checks look.
 */
export async function docsProject(serverUrl: string): Promise<DocsProject> {
  await mkdir(join(root, 'dist'), { recursive: true })
  const folder = await mkdtemp(join(root, 'dist/docs-'))
  const remove = () => rm(folder, { recursive: true })
  try {
    await cp(join(root, 'test/fixtures/docs'), folder, { recursive: true })
    await symlink(join(root, 'examples/frameworks/node_modules'), join(folder, 'node_modules'))
    const modules = await writeModules(folder)
    const tables = await writeClient(folder, serverUrl)
    return { folder, modules, tables, remove }
  } catch (error) {
    await remove()
    throw error
  }
}

/** @returns the SQL of its tables */
async function writeClient(folder: string, DATABASE_URL: string): Promise<string> {
  const models = (await blocksOf('docs/README.md')).filter(({ language }) => language === 'prisma')
  await writeFile(join(folder, 'schema.prisma'), header + models.map(({ code }) => code).join('\n'))
  await writeFile(join(folder, 'prisma.config.mjs'), config)
  const prisma = async (...args: string[]) => {
    const cli = createRequire(import.meta.url).resolve('prisma/build/index.js')
    const env = { ...process.env, ...schemaEngineEnvironment(), PRISMA_HIDE_UPDATE_MESSAGE: '1', DATABASE_URL }
    return (await promisify(execFile)(process.execPath, [cli, ...args], { cwd: folder, env })).stdout
  }
  const diff = ['migrate', 'diff', '--from-empty', '--to-schema', 'schema.prisma', '--script']
  const [tables] = await Promise.all([prisma(...diff), prisma('generate')])
  return tables
}

async function writeModules(folder: string): Promise<ShownModule[]> {
  // what the README shows in its first steps is a project of several files: the-readme-tells-the-truth runs it
  const blocks = (await taughtBlocks('ts')).filter(({ page }) => page !== 'README.md')
  const modules = blocks.map((block) => {
    const file = `src/${block.page.replaceAll('/', '-').replace('.md', '')}-${block.line}.ts`
    const before = whatComesBefore(block, blocks)
    return { block, file, before, runs: !block.notRun && !/^declare /m.test(before) }
  })
  for (const { block, file, before } of modules)
    await writeFile(join(folder, file), `${before}\n${block.code}\nexport {}\n`)
  return modules.map((module) => ({ ...module, before: module.before.split('\n').length }))
}

/** What the page takes as given, and what earlier blocks of the page have imported or exported, where this one uses it. */
function whatComesBefore(block: Block, all: readonly Block[]): string {
  const before: string[] = []
  const needs = (name: string) =>
    new RegExp(`\\b${name}\\b`).test(block.code) &&
    ![...before, block.given, block.code].some((code) => declares(code, name))
  for (const earlier of all) {
    if (earlier.page !== block.page || earlier.line >= block.line) continue
    if (exported(earlier.code).some(needs)) before.push(earlier.given, earlier.code)
    else for (const line of imports(earlier)) if (namesOf(line).some(needs)) before.push(line)
  }
  return [...before, block.given].join('\n')
}

const exported = (code: string) =>
  [...code.matchAll(/^export (?:const|class|function) (\w+)/gm)].map(([, name]) => name!)

const imports = ({ given, code }: Block) => `${given}\n${code}`.match(/^import .* from .*$/gm) ?? []

const namesOf = (line: string) => line.slice(0, line.lastIndexOf(' from ')).match(/\w+/g) ?? []

const declares = (code: string, name: string) =>
  new RegExp(`^(?:import .*\\b${name}\\b.* from|(?:export |declare )*(?:const|class|function) ${name}\\b)`, 'm').test(
    code,
  )

/** What the compiler says of the blocks, by page and line. */
export async function compile({ folder, modules }: DocsProject): Promise<string[]> {
  const tsc = promisify(execFile)(join(root, 'node_modules/.bin/tsc'), ['--project', folder, '--pretty', 'false'])
  const { stdout } = (await tsc.catch((failed) => failed)) as { stdout: string }
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) =>
      line.replace(/^\S*?(src\/\S+?)\((\d+),/, (all, file, at) => placeOf(modules, file, Number(at)) ?? all),
    )
}

function placeOf(modules: readonly ShownModule[], file: string, line: number): string | undefined {
  const module = modules.find((module) => module.file === file)
  if (module === undefined) return undefined
  const { block, before } = module
  return line > before
    ? `${block.page}:${block.line + line - before - 1} (column `
    : `${block.page}:${block.line}, in what is given (column `
}
