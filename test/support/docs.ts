import { readdir, readFile } from 'node:fs/promises'
import { join, posix } from 'node:path'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A fenced block of a page. */
export interface Block {
  page: string
  /** Of its first line of code. */
  line: number
  language: string
  code: string
  /** What the page takes as given, said in a hidden comment before the block: `<!-- given: import … -->`. */
  given: string
  /** `<!-- not run -->` before the block. */
  notRun: boolean
}

/** All pages, by their paths from the root: the README, and what is in `docs`. */
export async function pages(): Promise<string[]> {
  const files = await readdir(join(root, 'docs'), { recursive: true })
  const written = files.filter((file) => file.endsWith('.md') && !file.startsWith(join('reference', 'api')))
  return ['README.md', ...written.map((file) => `docs/${file.replaceAll('\\', '/')}`).sort()]
}

const textOf = (page: string) => readFile(join(root, page), 'utf8')

/** The pages whose blocks must work: decisions tell what was, and may show what is not. */
export async function taughtPages(): Promise<string[]> {
  return (await pages()).filter((page) => !page.startsWith('docs/decisions/'))
}

export async function blocksOf(page: string): Promise<Block[]> {
  const text = await textOf(page)
  const fences = /((?:^<!-- (?:given:|not run)[\s\S]*?-->\n+)*)^( *)```(.*)\n([\s\S]*?)^ *```$/gm
  return [...text.matchAll(fences)].map(
    ({ index, 1: comments = '', 2: indent = '', 3: language = '', 4: body = '' }) => ({
      page,
      line: text.slice(0, index).split('\n').length + comments.split('\n').length,
      language,
      code: body.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
      given: [...comments.matchAll(/<!-- given:\s*([\s\S]*?)\s*-->/g)].map(([, code]) => code).join('\n'),
      notRun: comments.includes('<!-- not run'),
    }),
  )
}

export async function taughtBlocks(language: string): Promise<Block[]> {
  const all = await Promise.all((await taughtPages()).map(blocksOf))
  return all.flat().filter((block) => block.language === language)
}

/** A page without what is shown in it. */
const prose = (text: string) => text.replaceAll(/^ *```[\s\S]*?^ *```$/gm, (block) => block.replaceAll(/[^\n]/g, ''))

/** The commands of `pgpubsub` that are named in a page's text, without the program's name. */
export async function commandsInText(page: string): Promise<{ page: string; line: number; command: string }[]> {
  const text = prose(await textOf(page))
  return [...text.matchAll(/`(?:npx )?pgpubsub\s+([a-z-][^`]*)`/g)].map(({ index, 1: command = '' }) => ({
    page,
    line: text.slice(0, index).split('\n').length,
    command,
  }))
}

const linkPattern = /(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)/g

/** Where the links of a page lead: files by their paths from the root, with an anchor or without. */
export async function linksOf(page: string): Promise<{ line: number; file: string; anchor: string | undefined }[]> {
  const text = prose(await textOf(page)).replaceAll(/`[^`\n]*`/g, '')
  return [...text.matchAll(linkPattern)]
    .map(({ index, 1: link, 2: image }) => ({ line: text.slice(0, index).split('\n').length, to: (link ?? image)! }))
    .filter(({ to }) => !/^[a-z]+:/.test(to))
    .map(({ line, to }) => {
      const [path = '', anchor] = to.split('#')
      return { line, file: path === '' ? page : posix.join(posix.dirname(page), path), anchor }
    })
}

/** The anchors of a page, as GitHub makes them of its headings. */
export async function anchorsOf(page: string): Promise<Set<string>> {
  const anchors = new Set<string>()
  for (const [, heading = ''] of prose(await textOf(page)).matchAll(/^#+ +(.*)$/gm)) {
    const text = heading.replaceAll(/\[([^\]]*)\]\([^)]*\)/g, '$1').toLowerCase()
    const anchor = text.replaceAll(/[^\p{L}\p{N}\p{M}_ -]/gu, '').replaceAll(' ', '-')
    let free = anchor
    for (let i = 1; anchors.has(free); i++) free = `${anchor}-${i}`
    anchors.add(free)
  }
  return anchors
}
