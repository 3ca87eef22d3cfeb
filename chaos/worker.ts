/* A worker as a process of its own: `worker.ts URL RECORD NAME CALM`. SIGTERM stops it, and it must end by itself then. */
import { setTimeout as sleep } from 'node:timers/promises'
import { pubsub, pubsubAdapter, silentLogger } from '@pgpubsub/prisma-extension'
import { PrismaClient } from '../prisma/generated/client.ts'
import { now } from './clock.ts'
import { Handling } from './handling.ts'
import { declareListeners } from './listeners.ts'
import { pollIntervalMs } from './poll.ts'
import { Record, type WorkerLine } from './record.ts'

const [connectionString, path, name, calm] = process.argv.slice(2) as [string, string, string, string]
const record = new Record<WorkerLine>(path)
const handling = new Handling(record, name)
handling.calm = calm === 'calm'
const prisma = new PrismaClient({ adapter: pubsubAdapter({ connectionString }) }).$extends(
  pubsub({ connectionString, pollIntervalMs, logger: silentLogger }),
)
declareListeners(prisma, handling.handle)
writeDownEvents()
writeDownLateness()

const told = new AbortController()
process.once('SIGTERM', () => told.abort())
process.on('message', () => {
  handling.calm = true
})
process.on('disconnect', () => told.signal.aborted || process.exit(1)) // whoever started it is gone

const worker = await startWorker()
process.send?.('ready')
if (!told.signal.aborted) await new Promise((resolve) => told.signal.addEventListener('abort', resolve))
await worker?.stop({ graceMs: 1_000 })
await prisma.$pubsub.close()
await prisma.$disconnect()
process.disconnect?.()

/** The server may be away just now. */
async function startWorker() {
  for (;;) {
    if (told.signal.aborted) return null
    try {
      return await prisma.$pubsub.listen()
    } catch {
      await sleep(100)
    }
  }
}

function writeDownEvents(): void {
  const committed = ({ listener, id }: { listener: string; id: bigint }) =>
    record.write({ is: 'committed', listener, id: String(id) })
  prisma.$pubsub.on('handled', committed)
  prisma.$pubsub.on('discarded', committed)
  prisma.$pubsub.on('failed', ({ listener, id, dead, error }) => {
    if (dead) record.write({ is: 'dead', listener, id: String(id), error: String(error) })
  })
  prisma.$pubsub.on('error', ({ listener, error }) => {
    record.write({ is: 'error', listener: listener ?? '', error: String(error) })
  })
}

/** A process that was stopped, or starved, notices nothing and renews nothing meanwhile. */
function writeDownLateness(): void {
  let last = now()
  setInterval(() => {
    if (now() - last > 250_000) record.write({ is: 'late', since: last })
    last = now()
  }, 100).unref()
}
