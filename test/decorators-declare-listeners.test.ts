import type { PostDelete, PostSave, PostUpdate, PubSubError } from '@pgpubsub/prisma-extension'
import { describe, expect, type TestClient, test } from './support/test.ts'

type Media = TestClient['media']

function codeOf(declare: () => unknown): string | undefined {
  try {
    declare()
  } catch (error) {
    return (error as PubSubError).code
  }
  return undefined
}

test('a decorated method handles the changes of its model, with the instance as this', async ({ database }) => {
  const prisma = database.prisma()
  class MediaListeners {
    readonly seen: string[] = []
    readonly #secret: string

    constructor(secret: string) {
      this.#secret = secret
    }

    @prisma.media.onPostSave({ name: 'index-media', columns: ['title'] })
    async index(change: PostSave<Media>) {
      this.seen.push(`${this.#secret}: ${change.operation} ${change.new.title}`)
    }

    @prisma.media.onPostDelete()
    forgetMedia({ old }: PostDelete<Media>) {
      this.seen.push(`${this.#secret}: forgot ${old.title}`)
    }
  }
  const listeners = new MediaListeners('mine')
  prisma.$pubsub.register(listeners)
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()

  const { id } = await prisma.media.create({ data: { url: 'a', title: 'one' } })
  await prisma.media.update({ where: { id }, data: { url: 'b' } })
  await prisma.media.update({ where: { id }, data: { title: 'two' } })
  await database.drained()
  await prisma.media.delete({ where: { id } })
  await database.drained()

  expect(listeners.seen).toEqual(['mine: insert one', 'mine: update two', 'mine: forgot two'])
})

/** The names of the listeners that are declared. */
async function declared(prisma: TestClient): Promise<string[]> {
  try {
    await prisma.$pubsub.listen({ listeners: ['none of them'] })
  } catch (error) {
    return [...(error as Error).message.matchAll(/"([^"]+)"/g)].slice(1).map(([, name]) => name as string)
  }
  return []
}

describe('the name of the listener', () => {
  test('is the name of the method unless it is given', async ({ database }) => {
    const prisma = database.prisma()
    class Listeners {
      @prisma.media.onPostSave()
      byMethod() {}
      @prisma.media.onPostSave({ columns: ['title'] })
      byMethodToo() {}
      @prisma.media.onPostSave('by-text')
      a() {}
      @prisma.media.onPostSave({ name: 'by-option' })
      b() {}
      @prisma.media.onPostSave()
      'a name, not an identifier'() {}
    }
    prisma.$pubsub.register(new Listeners())
    expect(await declared(prisma)).toEqual([
      'byMethod',
      'byMethodToo',
      'by-text',
      'by-option',
      'a name, not an identifier',
    ])
  })

  test('is free until an instance is registered', async ({ database }) => {
    const prisma = database.prisma()
    class Listeners {
      @prisma.media.onPostSave('scan')
      scan() {}
    }
    new Listeners()
    expect(await declared(prisma)).toEqual([])
    prisma.media.onPostSave('scan', () => {})
    expect(codeOf(() => prisma.$pubsub.register(new Listeners()))).toBe('PGPUBSUB_DUPLICATE_LISTENER')
  })

  test('is taken by the first of two instances of a class', async ({ database }) => {
    const prisma = database.prisma()
    class Listeners {
      @prisma.media.onPostSave()
      scan() {}
    }
    prisma.$pubsub.register(new Listeners())
    expect(codeOf(() => prisma.$pubsub.register(new Listeners()))).toBe('PGPUBSUB_DUPLICATE_LISTENER')
  })
})

test('one method can have several decorators, on several models', async ({ database }) => {
  const prisma = database.prisma()
  class Listeners {
    readonly seen: string[] = []

    @prisma.media.onPostInsert('media')
    @prisma.user.onPostInsert('users')
    @prisma.user.onPostDelete('gone-users')
    count(change: { listener: string; operation: string }) {
      this.seen.push(`${change.listener} ${change.operation}`)
    }
  }
  const listeners = new Listeners()
  prisma.$pubsub.register(listeners)
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  await prisma.media.create({ data: { url: 'x', owner: { create: { email: 'a@b' } } } })
  await prisma.user.deleteMany()
  await database.drained()
  expect(listeners.seen.sort()).toEqual(['gone-users delete', 'media insert', 'users insert'])
})

describe('a class that extends another', () => {
  test('has its listeners, and calls what overrides them', async ({ database }) => {
    const prisma = database.prisma()
    class Base {
      readonly seen: string[] = []

      @prisma.media.onPostInsert()
      inherited() {
        this.seen.push(this.name())
      }

      @prisma.media.onPostInsert()
      overridden() {
        this.seen.push('the base is not called')
      }

      @prisma.media.onPostUpdate()
      declaredAgain(_change: PostUpdate<Media>) {
        this.seen.push('the base is not called')
      }

      name() {
        return 'base'
      }
    }
    class Derived extends Base {
      override overridden() {
        this.seen.push('overridden')
      }

      @prisma.media.onPostInsert({ name: 'its own' })
      override declaredAgain() {
        this.seen.push('declared again')
      }

      override name() {
        return 'derived'
      }
    }
    const derived = new Derived()
    prisma.$pubsub.register(derived)
    expect((await declared(prisma)).sort()).toEqual(['inherited', 'its own', 'overridden'])
    await prisma.$pubsub.install()
    await prisma.$pubsub.listen()
    await prisma.media.create({ data: { url: 'x' } })
    await prisma.media.updateMany({ data: { title: 'y' } })
    await database.drained()
    expect(derived.seen.sort()).toEqual(['declared again', 'derived', 'overridden'])
  })
})

test('static methods are registered with their class', async ({ database }) => {
  const prisma = database.prisma()
  class Listeners {
    static readonly seen: unknown[] = []

    @prisma.media.onPostInsert()
    static scan() {
      // biome-ignore lint/complexity/noThisInStatic: what this is, is the question
      Listeners.seen.push(this)
    }

    @prisma.media.onPostInsert()
    ofInstances() {}
  }
  prisma.$pubsub.register(Listeners)
  expect(await declared(prisma)).toEqual(['scan'])
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  await prisma.media.create({ data: { url: 'x' } })
  await database.drained()
  expect(Listeners.seen).toEqual([Listeners])
})

describe('what is not a public method', () => {
  test('is refused when the class is defined', ({ database }) => {
    const prisma = database.prisma()
    // biome-ignore lint/suspicious/noExplicitAny: types forbid it as well
    const decorate: any = () => prisma.media.onPostSave('scan')
    const wrong = [
      () =>
        class {
          @decorate()
          #scan() {}
          scan() {
            this.#scan()
          }
        },
      () =>
        class {
          @decorate()
          get scan() {
            return () => {}
          }
        },
      () =>
        class {
          @decorate()
          set scan(_value: unknown) {}
        },
      () =>
        class {
          @decorate()
          scan = () => {}
        },
      () =>
        class {
          @decorate()
          accessor scan = () => {}
        },
      () => {
        @decorate()
        class Scan {}
        return Scan
      },
      () =>
        class {
          @decorate()
          [Symbol.iterator]() {}
        },
    ]
    for (const define of wrong) expect(codeOf(define), String(define)).toBe('PGPUBSUB_INVALID_DECORATOR')
  })

  test('is refused to the decorators of before the standard, which say what to switch off', ({ database }) => {
    const prisma = database.prisma()
    class Listeners {
      scan() {}
    }
    // biome-ignore lint/suspicious/noExplicitAny: "experimentalDecorators" calls with (prototype, name, descriptor)
    const decorator: any = prisma.media.onPostSave('scan')
    const descriptor = Object.getOwnPropertyDescriptor(Listeners.prototype, 'scan')
    expect(() => decorator(Listeners.prototype, 'scan', descriptor)).toThrow(/"experimentalDecorators" off/)
    expect(codeOf(() => decorator(Listeners.prototype, 'scan', descriptor))).toBe('PGPUBSUB_INVALID_DECORATOR')
  })
})

describe('register()', () => {
  test('of what has no decorated method is an error', ({ database }) => {
    const prisma = database.prisma()
    class Plain {
      scan() {}
    }
    class WithStatic {
      @prisma.media.onPostSave()
      scan() {}
    }
    const none = 'PGPUBSUB_NO_LISTENERS'
    expect(codeOf(() => prisma.$pubsub.register(new Plain()))).toBe(none)
    expect(codeOf(() => prisma.$pubsub.register({}))).toBe(none)
    expect(codeOf(() => prisma.$pubsub.register(Object.create(null)))).toBe(none)
    expect(() => prisma.$pubsub.register(new Plain())).toThrow(/an instance of Plain, which has no method/)
    // the class was given instead of an instance
    expect(codeOf(() => prisma.$pubsub.register(WithStatic))).toBe(none)
    expect(() => prisma.$pubsub.register(WithStatic)).toThrow(/the class WithStatic, .* static .* new WithStatic\(\)/)
    for (const wrong of [undefined, null, 7, 'x']) {
      expect(codeOf(() => prisma.$pubsub.register(wrong as never))).toBe(none)
    }
  })

  test('of an instance whose name is taken declares none of its listeners', async ({ database }) => {
    const prisma = database.prisma()
    prisma.media.onPostSave('taken', () => {})
    class Listeners {
      @prisma.media.onPostSave('free')
      a() {}
      @prisma.media.onPostSave('taken')
      b() {}
    }
    expect(codeOf(() => prisma.$pubsub.register(new Listeners()))).toBe('PGPUBSUB_DUPLICATE_LISTENER')
    expect(await declared(prisma)).toEqual(['taken'])
  })

  test('does not run getters, and needs no prototype of its own', ({ database }) => {
    const prisma = database.prisma()
    class Listeners {
      get explosive(): unknown {
        throw new Error('read')
      }
      @prisma.media.onPostSave()
      scan() {}
    }
    prisma.$pubsub.register(new Listeners())
  })

  test('is for the client whose models the decorators came from', async ({ database }) => {
    const prisma = database.prisma()
    const other = database.prisma()
    class Listeners {
      @prisma.media.onPostSave()
      scan() {}
    }
    expect(codeOf(() => other.$pubsub.register(new Listeners()))).toBe('PGPUBSUB_NO_LISTENERS')
    prisma.$pubsub.register(new Listeners())
    expect(await declared(prisma)).toEqual(['scan'])
    expect(await declared(other)).toEqual([])
  })
})
