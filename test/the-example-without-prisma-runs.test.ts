import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from './support/test.ts'

const root = fileURLToPath(new URL('..', import.meta.url))

test('the shop handles what was committed, with the context of who did it, and nothing else', async ({ database }) => {
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', 'examples/plain-core/src/shop.ts'],
    {
      cwd: root,
      env: { ...process.env, DATABASE_URL: database.url },
      timeout: 25_000,
    },
  )
  const refused = 'The payment was refused.'
  const lines = stdout.trim().split('\n')
  // the first may be handled before the second buyer is refused, or after
  expect(lines).toContain(refused)
  expect(lines.filter((line) => line !== refused)).toEqual([
    'insert of 2 lamp by ada, changed: id, product, quantity',
    'update of 3 lamp by grace, changed: quantity',
    'in stock: 8',
  ])
  expect(await database.notifications()).toEqual([])
  expect(await database.sql('select product, quantity from purchase')).toEqual([{ product: 'lamp', quantity: 3 }])
})

test('the guide shows what the example does', async () => {
  const guide = await readFile(`${root}docs/guide/without-prisma.md`, 'utf8')
  const files = ['database', 'pubsub', 'shop'].map((name) =>
    readFile(`${root}examples/plain-core/src/${name}.ts`, 'utf8'),
  )
  const sources = unindented((await Promise.all(files)).join('\n'))
  const blocks = [...guide.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => unindented(code as string).trim())
  expect(blocks).toHaveLength(4)
  for (const block of blocks.flatMap((code) => code.split('\n\n'))) expect(sources).toContain(block)
})

const unindented = (code: string) => code.replace(/^ +/gm, '')
