import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'

const root = fileURLToPath(new URL('..', import.meta.url))
const run = promisify(execFile)

test('what a program imports is two files of each package, below 130 kB, and no driver', async () => {
  const loaded = await loadedBy(`await import('@pgpubsub/prisma-extension')`)
  const ours = loaded.filter((file) => file.startsWith('packages/'))

  expect(ours.sort()).toEqual([
    'packages/core/dist/chunks/start.js',
    'packages/core/dist/index.js',
    'packages/prisma-extension/dist/chunks/start.js',
    'packages/prisma-extension/dist/index.js',
  ])
  const sizes = await Promise.all(ours.map(async (file) => (await stat(join(root, file))).size))
  expect(sizes.reduce((sum, size) => sum + size)).toBeLessThan(130 * 1024)
  expect(loaded.filter((file) => /node_modules\/(pg|@prisma\/adapter-pg)\//.test(file))).toEqual([])
})

test('the stack of an error names the sources', async () => {
  const { stdout } = await node(
    `import('@pgpubsub/core').then(({ PubSub }) => new PubSub({ schema: 7 })).catch(({ stack }) => console.log(stack))`,
    ['--enable-source-maps'],
  )
  expect(stdout).toContain('packages/core/src/pubsub-options.ts:')
  expect(stdout).not.toContain('/dist/')
})

test('errors of every entry point are of the one class', async () => {
  const { stdout } = await node(`
    const { PubSubError } = await import('@pgpubsub/prisma-extension')
    const { PubSub } = await import('@pgpubsub/core')
    const kits = [await import('@pgpubsub/core/testing'), await import('@pgpubsub/prisma-extension/testing')]
    const engine = new PubSub({ connectionString: 'postgresql://nowhere' })
    const errors = await Promise.all(kits.map(({ waitFor }) => waitFor(engine, 'nobody').catch((error) => error)))
    for (const error of errors) console.log(error instanceof PubSubError, error.code)
  `)
  expect(stdout.trim().split('\n')).toEqual(['true PGPUBSUB_UNKNOWN_LISTENER', 'true PGPUBSUB_INVALID_OPTION'])
})

const node = (program: string, args: string[] = [], env = {}) =>
  run(process.execPath, [...args, '--input-type=module', '--eval', program], {
    cwd: root,
    env: { ...process.env, ...env },
  })

/** The files that were loaded, as V8 tells it when it counts what was run. */
async function loadedBy(program: string): Promise<string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-loaded-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  await node(program, [], { NODE_V8_COVERAGE: folder })
  const [coverage = ''] = await readdir(folder)
  const { result } = JSON.parse(await readFile(join(folder, coverage), 'utf8')) as { result: { url: string }[] }
  const files = result.filter(({ url }) => url.startsWith('file:'))
  return files.map(({ url }) => relative(root, fileURLToPath(url)))
}
