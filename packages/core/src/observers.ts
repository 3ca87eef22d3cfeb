import type { Change } from './change.js'
import type { Listener } from './listener.js'
import type { Message } from './message.js'

/** Is told of a change, or of a message of a channel. */
export type Observer = (given: Change<unknown> | Message<unknown>) => void

/** Who is told what handlers are given, before they are. */
export class Observers {
  readonly #byListener = new Map<string, Set<Observer>>()

  /** @returns a function that ends it */
  observe(listener: string, observer: Observer): () => void {
    const observers = this.#byListener.get(listener) ?? new Set()
    this.#byListener.set(listener, observers.add(observer))
    return () => {
      observers.delete(observer)
      if (observers.size === 0) this.#byListener.delete(listener)
    }
  }

  /** The listener, with a handler that tells them. */
  observed(listener: Listener): Listener {
    const { definition, handler } = listener
    return {
      ...listener,
      handler: (given) => {
        const observers = this.#byListener.get(definition.name)
        if (observers) for (const change of [given].flat()) for (const observer of observers) observer(change)
        return handler(given)
      },
    }
  }
}
