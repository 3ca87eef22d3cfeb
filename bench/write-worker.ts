/* The process behind write-worker-process.ts: `write-worker.ts URL`. It ends when its parent lets go of it. */
import { closeClient, mediaClient } from './media-client.ts'

const prisma = mediaClient(process.argv[2] as string)
const seen = new Set<number>()
let handled = 0
let repeated = 0
const report = () => process.send?.({ handled, repeated })

prisma.media.onPostInsert('write', ({ new: media }) => {
  handled++
  if (seen.has(media.id)) repeated++
  seen.add(media.id)
})
prisma.$pubsub.on('drained', report)
process.once('disconnect', () => closeClient(prisma))
await prisma.$pubsub.install()
await prisma.$pubsub.listen()
report()
