import { checkOptionNames, positiveInteger } from './check.js'
import { PubSubError } from './errors.js'
import type { Listener, ListenerRegistry } from './listener.js'

/** Options of `PubSub.listen`. */
export interface ListenOptions {
  /** Names of the listeners to consume. @default all that are declared */
  listeners?: readonly string[]
  /** Overrides the `concurrency` of every listener in this worker. */
  concurrency?: number
}

const listenOptionNames = ['listeners', 'concurrency'] as const satisfies readonly (keyof ListenOptions)[]

/** @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_NO_LISTENERS, PGPUBSUB_UNKNOWN_LISTENER */
export function chosenListeners(declared: ListenerRegistry, options: ListenOptions): Listener[] {
  checkOptionNames('listen', options, listenOptionNames)
  const { listeners: names, concurrency } = options
  const chosen = names ? declared.named([...new Set(names)]) : declared.all()
  if (chosen.length === 0) {
    throw new PubSubError(
      'PGPUBSUB_NO_LISTENERS',
      'There is nothing to listen to: declare a listener first, as in prisma.media.onPostSave("scan-media", handler), and import the module that does it.',
    )
  }
  if (concurrency === undefined) return chosen
  const limit = positiveInteger('listen', 'concurrency', concurrency)
  return chosen.map((listener) => ({ ...listener, consume: { ...listener.consume, concurrency: limit } }))
}
