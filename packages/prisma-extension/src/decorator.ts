import { type Listener, PubSubError, show } from '@pgpubsub/core'

/** Makes the listener of a decorated method, once there is an instance to call it on. */
type MakeListener = (methodName: string, handler: (change: unknown) => unknown) => Listener

interface Decoration {
  /** Whose models it names: the engine of one client. */
  readonly engine: object
  readonly make: MakeListener
}

const decorations = new WeakMap<object, readonly Decoration[]>()

/**
 * A method decorator of the TC39 standard. It only notes the method: {@link decoratedListeners} makes the listener.
 * @throws PGPUBSUB_INVALID_DECORATOR on anything but a public method with a text as its name
 */
export function listenerDecorator(family: string, engine: object, make: MakeListener) {
  return (method: unknown, context: unknown): void => {
    const { kind, name, private: isPrivate } = (context ?? {}) as Partial<ClassMethodDecoratorContext>
    if (kind !== 'method' || typeof method !== 'function') {
      throw new PubSubError(
        'PGPUBSUB_INVALID_DECORATOR',
        `@${family} decorates methods of classes, by the decorators of the ECMAScript standard. If it does stand on a method, switch "experimentalDecorators" off in tsconfig.json. To declare a listener without a class, pass the handler as the second argument.`,
      )
    }
    if (isPrivate || typeof name !== 'string') {
      throw new PubSubError(
        'PGPUBSUB_INVALID_DECORATOR',
        `@${family} cannot call the method ${String(name)}: it must be public and have a text as its name.`,
      )
    }
    decorations.set(method, [...(decorations.get(method) ?? []), { engine, make }])
  }
}

/**
 * The listeners of an instance's decorated methods, of its class and those that it extends, or of the static ones of a
 * class. A method that overrides a decorated one is called in its place; with decorators of its own, those count.
 * @throws PGPUBSUB_NO_LISTENERS when it has none
 */
export function decoratedListeners(instance: object, engine: object): Listener[] {
  const listeners = [...methodsOf(instance)].flatMap(([name, versions]) => {
    const handler = (versions[0] as Method).bind(instance)
    const decorated = versions.map(decorationsOf).find(({ length }) => length > 0) ?? []
    return decorated.filter((decoration) => decoration.engine === engine).map(({ make }) => make(name, handler))
  })
  if (listeners.length > 0) return listeners
  throw new PubSubError(
    'PGPUBSUB_NO_LISTENERS',
    `register() was given ${describe(instance)} with a listener's decorator of this client's models, like @prisma.media.onPostSave().`,
  )
}

type Method = (change: unknown) => unknown

const decorationsOf = (method: Method) => decorations.get(method) ?? []

/** The methods of an object by name, each with those that it overrides behind it. Getters are not run. */
function methodsOf(instance: unknown): Map<string, Method[]> {
  const methods = new Map<string, Method[]>()
  for (let owner = asObject(instance); owner && !isBuiltIn(owner); owner = Object.getPrototypeOf(owner)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (typeof value === 'function') methods.set(name, [...(methods.get(name) ?? []), value])
    }
  }
  return methods
}

const asObject = (value: unknown): object | null =>
  typeof value === 'object' || typeof value === 'function' ? (value as object | null) : null

const isBuiltIn = (owner: object) => owner === Object.prototype || owner === Function.prototype

function describe(instance: unknown): string {
  if (typeof instance === 'function') {
    return `the class ${instance.name}, which has no static method (for its other methods register an instance: new ${instance.name}())`
  }
  const object = asObject(instance)
  return object
    ? `an instance of ${object.constructor?.name ?? 'no class'}, which has no method`
    : `${show(instance)}, which has no method`
}
