import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

/** Each with what the compiler underlines, and words of what it says: not that an object is no name. */
const mistakes: [code: string, underlined: string, says: string][] = [
  [`prisma.media.onPostSave({ name: 'a', colums: ['title'] }, () => {})`, 'colums', 'not assignable'],
  [`prisma.media.onPostSave({ name: 'a', columns: ['titel'] }, () => {})`, `'titel'`, `Did you mean '"title"'?`],
  [`prisma.media.onPostSave({ name: 'a', when: { new: { status: 'clean' } } }, () => {})`, 'status', '"Clean"'],
  [
    `prisma.media.onPostSave({ name: 'a', omit: { titel: true } }, () => {})`,
    'titel',
    `Did you mean to write 'title'?`,
  ],
  [`prisma.media.onPostSave({ name: 'a', attempts: '3' }, () => {})`, 'attempts', `'number'`],
  [`prisma.media.onPostInsert({ name: 'a', columns: ['title'] }, () => {})`, 'columns', 'not assignable'],
  [`prisma.media.onPostSave({ name: 'a', delivery: 'broadcast', attempts: 3 }, () => {})`, 'attempts', `'never'`],
  [`prisma.media.onPostSave('a', ({ old }) => old.title)`, 'old.', `'old' is possibly 'null'`],
  [`prisma.media.onPostSave('a', ({ new: media }) => media.titel)`, 'titel', `Did you mean 'title'?`],
  [`prisma.$pubsub.on('faild', () => {})`, `'faild'`, '"faild"'],
  [`prisma.$pubsub.deadLetters.retry(7)`, '7', 'DeadLetterSelection'],
  [`pubsub({ conectionString: 'x' })`, 'conectionString', `Did you mean to write 'connectionString'?`],
]

const program = `import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaClient } from '${resolve('prisma/generated/client.ts')}'
const connectionString = 'postgresql://localhost/x'
const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString }) }).$extends(pubsub({ connectionString }))
`

test('what types forbid is underlined where it stands, with words about it', async () => {
  const folder = await mkdtemp(resolve('node_modules/.mistakes-'))
  const file = join(folder, 'mistakes.ts')
  try {
    await writeFile(file, program + mistakes.map(([code]) => code).join('\n'))
    await writeFile(
      join(folder, 'tsconfig.json'),
      JSON.stringify({ extends: resolve('tsconfig.json'), files: [file], include: [], references: [] }),
    )
    const told = messagesOf(await compile(folder))
    const first = program.split('\n').length
    for (const [index, [code, underlined, says]] of mistakes.entries()) {
      const message = told.get(first + index)
      expect.soft(message?.words, code).toContain(says)
      expect
        .soft(code.slice((message?.column ?? 0) - 1), code)
        .toMatch(new RegExp(`^${underlined.replace('.', '\\.')}`))
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}, 60_000)

function compile(folder: string): Promise<string> {
  const compiler = resolve('node_modules/.bin/tsc')
  return new Promise((done) =>
    execFile(compiler, ['--noEmit', '--pretty', 'false', '-p', folder], (_, stdout) => done(stdout)),
  )
}

/** By line, the first of its errors. */
function messagesOf(output: string): Map<number, { column: number; words: string }> {
  const errors = output.split(/^(?=\S.*\(\d+,\d+\): error)/m).map((error) => {
    const [, line, column] = /\((\d+),(\d+)\)/.exec(error) ?? []
    return [Number(line), { column: Number(column), words: error }] as const
  })
  return new Map(errors.reverse())
}
