#!/usr/bin/env node
// Reads the JSON report of a vitest run: prints every failure, and at the end `N passed, N failed`, in tests.
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'

const text = readFileSync(process.argv[2], 'utf8')
if (text === '') {
  console.error('The tests have left no report: they did not run.')
  process.exit(1)
}
const report = JSON.parse(text)
const failures = report.testResults.flatMap(({ name, status, message, assertionResults }) => {
  const file = relative(process.cwd(), name)
  const failed = assertionResults
    .filter((test) => test.status === 'failed')
    .map(({ fullName, failureMessages }) => ({ title: `${file}: ${fullName}`, details: failureMessages.join('\n') }))
  // a file that cannot be loaded has no tests that could fail
  return failed.length === 0 && status === 'failed' ? [{ title: file, details: message }] : failed
})

for (const { title, details } of failures) console.log(`FAILED ${title}\n${details}\n`)
if (report.numPendingTests > 0) console.log(`${report.numPendingTests} skipped`)
console.log(`${report.numPassedTests} passed, ${failures.length} failed`)
process.exitCode = report.success && failures.length === 0 ? 0 : 1
