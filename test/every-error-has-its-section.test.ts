import { readdirSync, readFileSync } from 'node:fs'
import { errorCodes } from '@pgpubsub/core'
import { expect, test } from 'vitest'

const page = readFileSync('docs/reference/errors.md', 'utf8')
const sections = new Map(
  page
    .split(/^## (?=PGPUBSUB_)/m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')), section]),
)

/** All sources but the list of the codes. */
const sources = ['packages/core/src', 'packages/prisma-extension/src']
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((file) => `${folder}/${file}`))
  .filter((file) => file.endsWith('.ts') && !file.endsWith('core/src/errors.ts'))
  .map((file) => readFileSync(file, 'utf8'))
  .join('\n')

test('every code has a section, in the order of the list, and no section is of a code that is gone', () => {
  expect([...sections.keys()]).toEqual(errorCodes)
})

test('every section says what happened, what to do and how the message reads', () => {
  for (const [code, section] of sections) {
    const [, meaning, remedy, message] = section.split('\n\n')
    expect.soft(meaning, code).toMatch(/^[A-Z`]/)
    expect.soft(remedy, code).toMatch(/^\*\*What to do:\*\* /)
    expect.soft(message, code).toMatch(/^> \S/)
  }
})

/** So many characters in a row are not the same by chance; between them there are names and numbers. */
const window = 18

test('the example of a message is what the sources say', () => {
  for (const [code, section] of sections) {
    const message = /^> (.*)$/m.exec(section)?.[1] ?? ''
    const windows = Array.from({ length: message.length - window + 1 }, (_, at) => message.slice(at, at + window))
    expect
      .soft(
        windows.some((words) => sources.includes(words)),
        `${code}: ${message}`,
      )
      .toBe(true)
  }
})

test('the index leads to every section', () => {
  const linked = [...page.matchAll(/\]\(#(pgpubsub_\w+)\)/g)].map(([, anchor]) => anchor)
  expect([...new Set(linked)].sort()).toEqual(errorCodes.map((code) => code.toLowerCase()).sort())
})

test('every code is thrown somewhere, and every code in the sources is in the list', () => {
  for (const code of errorCodes) {
    const thrown = new RegExp(`(?:PubSubError|super)\\(\\s*'${code}'`)
    expect.soft(thrown.test(sources), code).toBe(true)
  }
  const known: readonly string[] = [
    ...errorCodes,
    ...['PGPUBSUB_RETRY_AT', 'PGPUBSUB_DO_NOT_RETRY', 'PGPUBSUB_DISCARD', 'PGPUBSUB_FAILED_CHANGES'],
    ...['PGPUBSUB_ASSIGNMENT', 'PGPUBSUB_WORKER'], // variables of the environment
  ]
  const mentioned = new Set([...sources.matchAll(/\bPGPUBSUB_[A-Z_]*[A-Z]\b/g)].map(([code]) => code))
  expect([...mentioned].filter((code) => !known.includes(code))).toEqual([])
})
