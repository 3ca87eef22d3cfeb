import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import * as core from '@pgpubsub/core'
import * as coreOpenTelemetry from '@pgpubsub/core/opentelemetry'
import * as extension from '@pgpubsub/prisma-extension'
import * as extensionOpenTelemetry from '@pgpubsub/prisma-extension/opentelemetry'
import { expect, test } from 'vitest'

test('the core exports these names, and no others', () => {
  const forEveryone = [
    ...['PubSub', 'PubSubError', 'errorCodes', 'operations', 'storedOperations', 'silentLogger'],
    ...['Discard', 'DoNotRetry', 'FailedChanges', 'ReplayError', 'RetryAt'],
  ]
  const forAdaptersOfOrms = [
    ...['checkHandler', 'checkOptionNames', 'levelOf', 'nameMeant', 'replayable', 'resolveListenerOptions', 'show'],
    'storedColumns',
    ...['filterTexts', 'readWhen'],
    ...['carryContext', 'contextEverUsed', 'currentJson', 'currentScope'],
    ...[
      'keptAsText',
      'mayWrite',
      'members',
      'openScope',
      'openScopeOutsideTransaction',
      'openTransactionScope',
      'runInScope',
    ],
    ...['setContextSql', 'setsContext'],
  ]
  expect(Object.keys(core).sort()).toEqual([...forEveryone, ...forAdaptersOfOrms].sort())
})

test('the extension exports these names, and no others', () => {
  expect(Object.keys(extension).sort()).toEqual([
    'Discard',
    'DoNotRetry',
    'FailedChanges',
    'PubSubError',
    'ReplayError',
    'RetryAt',
    'errorCodes',
    'pubsub',
    'pubsubAdapter',
    'silentLogger',
  ])
})

test('what brings OpenTelemetry exports one name', () => {
  expect(Object.keys(coreOpenTelemetry)).toEqual(['openTelemetry'])
  expect(Object.keys(extensionOpenTelemetry)).toEqual(['openTelemetry'])
})

test('the extension hands on the errors of the core', () => {
  expect(extension.PubSubError).toBe(core.PubSubError)
  expect(extension.errorCodes).toBe(core.errorCodes)
})

/** What importing the package changes in a fresh process that has imported its dependencies. */
async function effectsOfImport(name: string): Promise<unknown> {
  const program = `
    for (const dependency of ['pg', '@prisma/adapter-pg', '@prisma/client/extension', '@prisma/client/runtime/client']) await import(dependency)
    const state = () => ({
      globals: Object.getOwnPropertyNames(globalThis),
      listeners: process.eventNames().map((event) => String(event) + ' ' + process.listenerCount(event)),
      active: process.getActiveResourcesInfo().filter((kind) => /Timeout|Immediate|TCP|UDP|Worker|Signal/.test(kind)),
    })
    const before = state()
    await import(${JSON.stringify(name)})
    const added = Object.entries(state()).map(([kind, now]) => [kind, now.filter((item) => !before[kind].includes(item))])
    process.stdout.write(JSON.stringify(Object.fromEntries(added)))`
  // what keeps the process from ending makes this fail as well
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program], {
    cwd: new URL('..', import.meta.url),
    timeout: 20_000,
  })
  return JSON.parse(stdout)
}

test.for(['@pgpubsub/core', '@pgpubsub/core/opentelemetry', '@pgpubsub/prisma-extension'])(
  'nothing happens when %s is imported: no timer, no socket, no listener on the process, no global',
  async (name) => {
    expect(await effectsOfImport(name)).toEqual({ globals: [], listeners: [], active: [] })
  },
)
