import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { anchorsOf, linksOf, pages, root } from './support/docs.ts'

async function pagesWithLinks(): Promise<string[]> {
  const examples = (await readdir(join(root, 'examples'))).map((name) => `examples/${name}/README.md`)
  return [...(await pages()), 'CONTRIBUTING.md', ...examples.filter((page) => existsSync(join(root, page)))]
}

test('links lead to files that are there, and anchors to headings', async () => {
  const dead: string[] = []
  for (const page of await pagesWithLinks()) {
    for (const { line, file, anchor } of await linksOf(page)) {
      const place = `${page}:${line}: `
      if (!existsSync(join(root, file))) dead.push(`${place}there is no ${file}`)
      else if (anchor !== undefined && !(await anchorsOf(file)).has(anchor))
        dead.push(`${place}${file} has no #${anchor}`)
    }
  }
  expect(dead).toEqual([])
})

test('every page is reached from the index, and the index from the README', async () => {
  const reached = new Set(['docs/README.md'])
  for (const page of reached) {
    for (const { file } of await linksOf(page)) if (/^docs\/.*\.md$/.test(file)) reached.add(file)
  }
  const missed = (await pages()).filter((page) => page.startsWith('docs/') && !reached.has(page))
  expect(missed.map((page) => `${page} is linked to by no page that docs/README.md leads to`)).toEqual([])
  expect((await linksOf('README.md')).map(({ file }) => file)).toContain('docs/README.md')
})
