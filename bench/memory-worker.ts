/*
 * The process behind memory.ts: `memory-worker.ts URL SIZE`, with --expose-gc. Handles so many changes in all with the
 * defaults, and tells its parent whenever nothing is left how much memory that took. It ends when its parent lets go of it.
 */
import { closeClient, mediaClient } from './media-client.ts'

/** Bytes. */
export interface MemoryReport {
  readonly handled: number
  /** The heap after a collection, before anything was drained. */
  readonly heapBefore: number
  /** The same at its highest while draining. */
  readonly heapPeak: number
  /** What the whole process held of the machine's memory, at its highest. */
  readonly residentPeak: number
}

/**
 * How often it is looked, at most. A look stops everything for a collection, so it is not taken at each change. A prime: short
 * backlogs are looked at in other places each time.
 */
const looks = 211

const [url, size] = process.argv.slice(2) as [string, string]
const prisma = mediaClient(url)
const heap = () => {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
const every = Math.max(100, Math.ceil(Number(size) / looks))
let heapBefore = 0
let heapPeak = 0
let residentPeak = 0
let handled = 0
// in the handler the batch is held as a whole: this is when there is most
prisma.media.onPostUpdate('drain', ({ old, new: media }) => {
  if (old.title !== media.title) handled++
  if (handled % every !== 0) return
  // before the collection, which gives some of it back
  residentPeak = Math.max(residentPeak, process.memoryUsage.rss())
  heapPeak = Math.max(heapPeak, heap())
})
prisma.$pubsub.on('drained', () =>
  process.send?.({ handled, heapBefore, heapPeak, residentPeak } satisfies MemoryReport),
)
process.once('disconnect', () => closeClient(prisma))
await prisma.$pubsub.install()
heapBefore = heap()
await prisma.$pubsub.listen()
