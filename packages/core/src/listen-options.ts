import type { Context } from './change.js'
import { checkListenerNames, checkOptionNames, invalid, positiveInteger } from './check.js'
import { PubSubError } from './errors.js'
import type { Listener, ListenerRegistry } from './listener.js'
import { partOfContext } from './publish/context.js'

/** Options of `PubSub.listen`. */
export interface ListenOptions {
  /** Names of the listeners to consume. @default all that are declared */
  listeners?: readonly string[]
  /** Overrides the `concurrency` of every listener in this worker. @default what each listener says */
  concurrency?: number
  /**
   * Only what was stored with a context that contains this is handled, as `@>` of jsonb has it: `{ tenant: 'a' }`. The rest
   * waits for other workers, and what comes after it on the same row waits with it. Not for broadcasts.
   * @default whatever the context is
   */
  context?: Context
}

const listenOptionNames = ['listeners', 'concurrency', 'context'] as const satisfies readonly (keyof ListenOptions)[]

/** @throws PGPUBSUB_INVALID_OPTION, PGPUBSUB_INVALID_CONTEXT, PGPUBSUB_NO_LISTENERS, PGPUBSUB_UNKNOWN_LISTENER */
export function chosenListeners(declared: ListenerRegistry, options: ListenOptions): Listener[] {
  checkOptionNames('listen', options, listenOptionNames)
  const { listeners: names, concurrency, context } = options
  if (names !== undefined) checkListenerNames('listen', names)
  const chosen = names ? declared.named([...new Set(names)]) : declared.all()
  if (chosen.length === 0) {
    throw new PubSubError(
      'PGPUBSUB_NO_LISTENERS',
      declared.all().length > 0
        ? 'listeners is an empty list, so there is nothing to listen to. Leave it out for all that are declared.'
        : 'There is nothing to listen to: declare a listener first, as in prisma.media.onPostSave("scan-media", handler), and import the module that does it.',
    )
  }
  const overrides = {
    ...(concurrency !== undefined && { concurrency: positiveInteger('listen', 'concurrency', concurrency) }),
    ...(context !== undefined && { context: contextOfAll(chosen, context) }),
  }
  return chosen.map((listener) => ({ ...listener, consume: { ...listener.consume, ...overrides } }))
}

/** What contexts have to contain, as JSON; null where that is nothing. @throws PGPUBSUB_INVALID_CONTEXT */
export function contextFilter(context: Context): string | null {
  const json = partOfContext(context)
  return json === '{}' ? null : json
}

function contextOfAll(chosen: readonly Listener[], context: Context): string | null {
  const json = contextFilter(context)
  const broadcast = json !== null && chosen.find(({ definition }) => definition.delivery === 'broadcast')
  if (!broadcast) return json
  const { name } = broadcast.definition
  throw invalid(
    `listen has a context, and the listener "${name}" has delivery: 'broadcast', which every worker is given: look at the context in its handler, and name the other listeners in listen({ listeners }).`,
  )
}
