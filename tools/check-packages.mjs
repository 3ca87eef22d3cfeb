#!/usr/bin/env node
// Packs every package as it would be published, and checks what is in the tarball: its manifest and exports (publint),
// its types (attw), its files.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pnpm } from './pnpm.mjs'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const folder = mkdtempSync(join(tmpdir(), 'pgpubsub-packages-'))
let failures = 0

try {
  check('pack', ...pnpm('--recursive', '--filter', './packages/*', 'pack', '--pack-destination', folder))
  const tarballs = readdirSync(folder).map((file) => join(folder, file))
  if (tarballs.length === 0) fail('pack', 'no tarball')
  for (const tarball of tarballs) {
    const name = basename(tarball)
    check(`publint ${name}`, bin('publint'), ['run', tarball, '--strict'])
    check(`attw ${name}`, bin('attw'), [tarball, '--profile', 'esm-only', '--format', 'ascii'])
    checkFiles(tarball)
  }
} finally {
  rmSync(folder, { recursive: true })
}
console.error(failures === 0 ? 'packages: well-formed' : `packages: ${failures} failures`)
process.exitCode = failures === 0 ? 0 : 1

function checkFiles(tarball) {
  const files = spawnSync('tar', ['-tzf', tarball], { encoding: 'utf8' }).stdout.split('\n')
  const stray = files.filter((file) => /\.tsbuildinfo$|\.test\.|\/(test|node_modules)\//.test(file))
  const missing = ['LICENSE', 'dist/index.js', 'dist/index.d.ts', 'src/index.ts'].filter(
    (file) => !files.includes(`package/${file}`),
  )
  if (stray.length > 0) fail('files', `${basename(tarball)} has ${stray.join(', ')}`)
  if (missing.length > 0) fail('files', `${basename(tarball)} lacks ${missing.join(', ')}`)
}

function check(name, command, args) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: process.platform === 'win32',
  })
  if (error || status !== 0) fail(name, error?.message ?? `exit code ${status}\n${stdout}${stderr}`)
}

function fail(name, message) {
  failures++
  console.error(`${name}: ${message}`)
}

function bin(name) {
  return join(root, 'node_modules', '.bin', name)
}
