import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { CommanderError, CommandUnknownOpts } from '@commander-js/extra-typings'
import { program } from '../../packages/prisma-extension/src/cli/program.ts'
import { schemaEngineEnvironment } from '../../tools/schema-engine.mjs'
import { type Block, root } from './docs.ts'

type Check = (args: string[]) => string | undefined | Promise<string | undefined>

const scripts = Object.keys(JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).scripts)

/** What a page may tell its reader to type, and what must be true of it. */
const commands: Record<string, Check> = {
  'npx pgpubsub': refusal,
  'npx prisma': unknownToPrisma,
  'npm install': (names) => names.map(notOurs).find((complaint) => complaint !== undefined),
  'npm run': ([name = '']) => (scripts.includes(name) ? undefined : `there is no script ${name}`),
  'npm test': () => undefined,
  jq: () => undefined,
}

/** What is wrong with the commands of a block, by page and line. */
export async function complaintsAbout({ page, line, code }: Block): Promise<string[]> {
  const complaints: string[] = []
  for (const [i, text] of code.trimEnd().split('\n').entries()) {
    for (const words of commandsOf(text)) {
      const name = Object.keys(commands).find((name) => words.join(' ').startsWith(name))
      const args = words.slice(name?.split(' ').length)
      const complaint = name === undefined ? 'nothing checks this command' : await commands[name]!(args)
      if (complaint !== undefined) complaints.push(`${page}:${line + i}: ${words.join(' ')}: ${complaint}`)
    }
  }
  return complaints
}

/** The commands of a line, as words: without comments, assignments and redirections. */
function commandsOf(line: string): string[][] {
  const words = line.replace(/(^|\s)#.*$/, '').match(/'[^']*'|"[^"]*"|\S+/g) ?? []
  const separated = words.map((word) => (/^(\||&&|;)$/.test(word) ? '\0' : word.replace(/^(['"])(.*)\1$/, '$2')))
  return separated
    .join('\n')
    .split('\0')
    .map((part) => part.split('\n').filter((word) => word !== ''))
    .map((words) => words.filter((word, i) => !/^\d?>>?$/.test(word) && !/^\d?>>?$/.test(words[i - 1] ?? '')))
    .map((words) => words.slice(words.findIndex((word) => !/^[A-Z_]+=/.test(word))))
    .filter((words) => words.length > 0)
}

/** What the command line itself says of these arguments, without doing anything. */
function refusal(args: string[]): string | undefined {
  const pgpubsub = program()
  idle(pgpubsub)
  try {
    pgpubsub.parse(args, { from: 'user' })
    return undefined
  } catch (error) {
    const { code, message } = error as CommanderError
    return code === 'commander.version' ? undefined : message
  }
}

/** The same of a command that is only named, as in "`pgpubsub dead`": it may lack arguments. */
export function refusalOfPart(command: string): string | undefined {
  const message = refusal(commandsOf(command)[0] ?? [])
  return message === undefined || /missing required argument|argument missing|outputHelp/.test(message)
    ? undefined
    : message
}

function idle(command: CommandUnknownOpts): void {
  command.exitOverride((error) => {
    throw error
  })
  command.configureOutput({ writeErr() {}, writeOut() {} })
  if (command.commands.length === 0) command.action(() => {})
  for (const below of command.commands) idle(below)
}

const helpOfPrisma = new Map<string, Promise<string>>()

/** Prisma's command line says what it knows only in its help. */
async function unknownToPrisma(args: string[]): Promise<string | undefined> {
  const names = args.slice(0, args.findIndex((arg) => arg.startsWith('-')) >>> 0).filter((arg) => !arg.startsWith('<'))
  const command = names.join(' ')
  const help = helpOfPrisma.get(command) ?? helpTextOfPrisma(names)
  helpOfPrisma.set(command, help)
  const text = await help
  const flag = args.find((arg) => arg.startsWith('--') && !text.includes(arg))
  if (flag !== undefined) return `prisma ${command} has no ${flag}`
  return text.includes(`prisma ${command} [`) ? undefined : `prisma has no ${command}`
}

async function helpTextOfPrisma(names: string[]): Promise<string> {
  const cli = createRequire(import.meta.url).resolve('prisma/build/index.js')
  const run = promisify(execFile)(process.execPath, [cli, ...names, '--help'], {
    cwd: root,
    env: { ...process.env, ...schemaEngineEnvironment(), NO_COLOR: '1', PRISMA_HIDE_UPDATE_MESSAGE: '1' },
  })
  return (await run.catch((failed) => failed)).stdout
}

function notOurs(name: string): string | undefined {
  if (!name.startsWith('@pgpubsub/')) return undefined
  return existsSync(join(root, 'packages', name.slice('@pgpubsub/'.length))) ? undefined : `there is no package ${name}`
}
