/* The process behind hasher.ts: `hashing-worker.ts URL ROUNDS`. It is told when to begin and when to end. */
import { pbkdf2Sync } from 'node:crypto'
import { once } from 'node:events'
import { closeClient, mediaClient } from './media-client.ts'

const [url, rounds] = process.argv.slice(2) as [string, string]
const prisma = mediaClient(url)
let handled = 0
prisma.media.onPostUpdate('drain', ({ new: media }) => {
  pbkdf2Sync(media.url, 'salt', Number(rounds), 32, 'sha256')
  handled++
})
process.once('disconnect', () => process.exit()) // whoever wants to know is gone
// connected before it begins
await prisma.$pubsub.install()
process.send?.('ready')
await once(process, 'message')
const worker = await prisma.$pubsub.listen()
await once(process, 'message')
await worker.stop()
process.send?.(handled)
await closeClient(prisma)
