#!/usr/bin/env node
// Reads JSON reports of vitest runs: prints every failure, what was skipped, and at the end `N passed, N failed`, in tests,
// of all of them together.
import { existsSync, readFileSync } from 'node:fs'
import { relative } from 'node:path'

const texts = process.argv.slice(2).map((file) => (existsSync(file) ? readFileSync(file, 'utf8') : ''))
const parsed = texts.filter((text) => text !== '').map((text) => JSON.parse(text))
const files = parsed.flatMap(({ testResults }) => testResults)
const tests = files.flatMap(({ name, assertionResults }) =>
  assertionResults.map((test) => ({ ...test, title: titleOf(name, test) })),
)
const failures = [
  ...tests
    .filter(({ status }) => status === 'failed')
    .map(({ title, failureMessages }) => ({ title, details: failureMessages.join('\n') })),
  // a file that cannot be loaded has no tests that could fail
  ...files
    .filter(({ status, assertionResults }) => status === 'failed' && !assertionResults.some(isFailed))
    .map(({ name, message }) => ({ title: relative(process.cwd(), name), details: message })),
  ...texts
    .filter((text) => text === '')
    .map(() => ({ title: 'a run of the tests', details: 'It has left no report: it did not come to its end.' })),
]

for (const { title, details } of failures) console.log(`FAILED ${title}\n${details}\n`)
for (const { title } of tests.filter(({ status }) => status === 'skipped')) console.log(`SKIPPED ${title}`)
console.log(`${tests.filter(({ status }) => status === 'passed').length} passed, ${failures.length} failed`)
process.exitCode = parsed.every(({ success }) => success) && failures.length === 0 ? 0 : 1

function isFailed({ status }) {
  return status === 'failed'
}

function titleOf(file, { fullName, meta }) {
  const server = meta?.postgres ? ` (PostgreSQL ${meta.postgres})` : ''
  return `${relative(process.cwd(), file)}: ${fullName}${server}`
}
