import type { ListenerDefaults } from '@pgpubsub/prisma-extension'
import { closeClient, mediaClient } from './media-client.ts'
import { failureOf } from './media-updates.ts'
import { RowOrder } from './row-order.ts'

/** A worker in this process that checks the order of what it handles. */
export interface MediaWorker extends AsyncDisposable {
  readonly handled: number
  /** Waits until so many changes have been handled since it was started. @throws where a handler failed, or nothing comes */
  until(handled: number): Promise<void>
}

export interface MediaWorkerOptions {
  readonly listener?: ListenerDefaults
  readonly prisma?: ReturnType<typeof mediaClient>
  /** Called by the handler. */
  readonly onChange?: () => void
}

/** Milliseconds without a change after which those that are expected are given up. */
const patience = 30_000

/** The listener `drain` has to be installed. */
export async function startMediaWorker(url: string, options: MediaWorkerOptions = {}): Promise<MediaWorker> {
  const { listener = {}, prisma = mediaClient(url), onChange = () => {} } = options
  const order = new RowOrder()
  let changed = () => {}
  prisma.media.onPostUpdate({ name: 'drain', ...listener }, ({ new: media }) => {
    order.handle(media)
    onChange()
    changed()
  })
  const failed = failureOf(prisma)
  await prisma.$pubsub.listen()
  return {
    get handled() {
      return order.handled
    },
    async until(handled) {
      const reached = new Promise<void>((resolve, reject) => {
        const late = () => reject(new Error(`${order.handled} changes of ${handled} were handled, and nothing more.`))
        const timer = setTimeout(late, patience)
        const look = () => {
          if (order.handled < handled) return void timer.refresh()
          clearTimeout(timer)
          resolve()
        }
        changed = look
        look()
      })
      await Promise.race([reached, failed])
    },
    [Symbol.asyncDispose]: () => closeClient(prisma),
  }
}
