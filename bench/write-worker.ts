/*
 * The process behind write-worker-process.ts: `write-worker.ts URL`. It listens while it is told to, and ends when its parent
 * lets go of it.
 */
import type { Worker } from '@pgpubsub/prisma-extension'
import { closeClient, mediaClient } from './media-client.ts'
import { failureOf } from './media-updates.ts'
import type { WriteCommand, WriteReport } from './write-worker-process.ts'

const prisma = mediaClient(process.argv[2] as string)
const seen = new Set<number>()
let worker: Worker | null = null
let handled = 0
let repeated = 0
const report = () => process.send?.({ handled, repeated, listening: worker !== null } satisfies WriteReport)

// only one of their triggers is enabled at a time
for (const wake of ['idle', 'always'] as const) {
  prisma.media.onPostInsert({ name: wake, wake }, ({ new: media }) => {
    handled++
    if (seen.has(media.id)) repeated++
    seen.add(media.id)
  })
}
failureOf(prisma).catch((error) => {
  console.error(error)
  process.exit(1)
})
prisma.$pubsub.on('drained', report)
process.once('disconnect', () => closeClient(prisma))
process.on('message', async (command: WriteCommand) => {
  if (command === 'listen') worker = await prisma.$pubsub.listen()
  else {
    await worker?.stop()
    worker = null
  }
  report()
})
await prisma.$pubsub.install()
report()
