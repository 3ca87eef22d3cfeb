/* The process behind write-worker-process.ts: `write-worker.ts URL`. It ends when its parent lets go of it. */
import { closeClient, mediaClient } from './media-client.ts'

const prisma = mediaClient(process.argv[2] as string)
const seen = new Set<number>()
let handled = 0
let repeated = 0
const report = () => process.send?.({ handled, repeated })

// only one of their triggers is enabled at a time
for (const wake of ['idle', 'always'] as const) {
  prisma.media.onPostInsert({ name: wake, wake }, ({ new: media }) => {
    handled++
    if (seen.has(media.id)) repeated++
    seen.add(media.id)
  })
}
prisma.$pubsub.on('drained', report)
process.once('disconnect', () => closeClient(prisma))
await prisma.$pubsub.install()
await prisma.$pubsub.listen()
report()
