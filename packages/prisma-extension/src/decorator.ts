import { PubSubError } from '@pgpubsub/core'

/** Declares the listener of a decorated method, once there is an instance to call it on. */
type Declare = (methodName: string, handler: (change: unknown) => unknown) => void

const decorated = new WeakMap<object, { readonly name: string; readonly declare: Declare }[]>()

/**
 * A method decorator of the TC39 standard. It only notes the method: {@link registerDecorated} declares the listener.
 * @throws PGPUBSUB_INVALID_DECORATOR on anything but a public method with a text as its name
 */
export function listenerDecorator(family: string, declare: Declare) {
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
    decorated.set(method, [...(decorated.get(method) ?? []), { name, declare }])
  }
}

/**
 * Declares the listeners of an instance's decorated methods, of its class and those that it extends, or the static ones
 * of a class.
 * @throws PGPUBSUB_NO_LISTENERS when it has none
 */
export function registerDecorated(instance: object): void {
  let found = 0
  const seen = new Set<string>()
  for (let owner: object | null = instance; owner && owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) {
    for (const property of Object.getOwnPropertyNames(owner)) {
      const method: unknown = Object.getOwnPropertyDescriptor(owner, property)?.value
      if (typeof method !== 'function' || seen.has(property)) continue
      seen.add(property)
      for (const { name, declare } of decorated.get(method) ?? []) {
        declare(name, method.bind(instance))
        found++
      }
    }
  }
  if (found === 0) {
    throw new PubSubError(
      'PGPUBSUB_NO_LISTENERS',
      `register() was given ${describe(instance)}, which has no method with a listener's decorator, like @prisma.media.onPostSave().`,
    )
  }
}

const describe = (instance: object) =>
  typeof instance === 'function'
    ? `the class ${instance.name}`
    : `an instance of ${instance.constructor?.name ?? 'no class'}`
