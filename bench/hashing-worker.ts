/* The process behind hasher.ts: `hashing-worker.ts ROUNDS [URL]`. It is told when to begin and when to end. */
import { pbkdf2Sync } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate as turn } from 'node:timers/promises'
import { closeClient, mediaClient } from './media-client.ts'

const [rounds, url] = process.argv.slice(2)
process.once('disconnect', () => process.exit()) // whoever wants to know is gone
await (url === undefined ? hashOnly() : hashChanges(url))

function hash(text: string): void {
  pbkdf2Sync(text, 'salt', Number(rounds), 32, 'sha256')
}

async function begun(): Promise<void> {
  process.send?.('ready')
  await once(process, 'message')
}

/** Tells how many changes were handled. */
async function hashChanges(url: string): Promise<void> {
  const prisma = mediaClient(url)
  let handled = 0
  prisma.media.onPostUpdate('drain', ({ new: media }) => {
    hash(media.url)
    handled++
  })
  // connected before it begins
  await prisma.$pubsub.install()
  await begun()
  const worker = await prisma.$pubsub.listen()
  await once(process, 'message')
  await worker.stop()
  process.send?.(handled)
  await closeClient(prisma)
}

/** The floor of it: no queue, no server. Tells how often it has hashed. */
async function hashOnly(): Promise<void> {
  await begun()
  let hashed = 0
  let isOver = false
  process.once('message', () => {
    isOver = true
  })
  for (; !isOver; hashed++) {
    hash('file:///media/1.jpg')
    await turn()
  }
  process.send?.(hashed)
}
