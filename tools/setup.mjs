#!/usr/bin/env node
// Makes a fresh clone ready: packages, Prisma Client, build. With only Node and npm on the machine; done again, it does
// only what is out of date.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pnpm } from './pnpm.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const stamps = join(root, 'node_modules', '.pgpubsub-setup')

step('packages', ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json'], ['node_modules/.bin/tsc'], () =>
  // CI: it asks nobody whether it may replace packages that another package manager has put there
  run(...pnpm('install', '--frozen-lockfile', '--prefer-offline'), { CI: 'true' }),
)
const { schemaEngineEnvironment } = await import('./schema-engine.mjs')
step(
  'prisma client',
  ['pnpm-lock.yaml', 'prisma.config.ts', 'prisma/schema.prisma'],
  ['prisma/generated/client.ts'],
  () => run(bin('prisma'), ['generate'], schemaEngineEnvironment()),
)
run(bin('tsc'), ['-b', 'packages/core', 'packages/prisma-extension'])
run(process.execPath, [join(root, 'tools/bundle.mjs')])

function step(name, inputs, outputs, work) {
  const stamp = join(stamps, name.replace(' ', '-'))
  const hash = createHash('sha256')
  for (const input of inputs) hash.update(readFileSync(join(root, input)))
  const wanted = hash.digest('hex')
  const current = existsSync(stamp) ? readFileSync(stamp, 'utf8') : undefined
  if (current === wanted && outputs.every((output) => existsSync(join(root, output)))) return
  console.error(`setup: ${name}`)
  work()
  mkdirSync(stamps, { recursive: true })
  writeFileSync(stamp, wanted)
}

function bin(name) {
  return join(root, 'node_modules', '.bin', name)
}

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, {
    cwd: root,
    // the answer of a command that writes JSON must be all there is on standard output
    stdio: ['ignore', 2, 2],
    env: { ...process.env, PRISMA_HIDE_UPDATE_MESSAGE: '1', ...env },
    shell: process.platform === 'win32',
  })
  if (error) throw error
  if (status !== 0) process.exit(status ?? 1)
}
