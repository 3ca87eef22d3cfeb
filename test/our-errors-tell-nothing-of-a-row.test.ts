import { inspect } from 'node:util'
import { expect, test, vi } from './support/test.ts'

const secret = 'correct horse battery staple'

// as after a migration that gave a column another type, while changes of it were waiting
const unreadable = { bigint: secret, decimal: secret, bigints: [secret], decimals: [secret] }

test.for(Object.entries(unreadable))(
  'a stored %s that cannot be read fails its attempt with a message that names the field, and not the value',
  async ([column, value], { database }) => {
    const lines: unknown[] = []
    const log = (...line: unknown[]) => void lines.push(line)
    const prisma = database.prisma({
      logger: { debug: log, info: log, warn: log, error: log },
    })
    const failed = vi.fn()
    prisma.everyType.onPostInsert('every-type', () => {})
    prisma.$pubsub.on('failed', failed)
    await prisma.$pubsub.install()
    await prisma.everyType.create({ data: { string: secret } })
    await database.sql('update pgpubsub.notification set new = new::jsonb || $1::jsonb', [
      JSON.stringify({ [column]: value }),
    ])
    await prisma.$pubsub.listen()
    await vi.waitFor(() => expect(failed).toHaveBeenCalled(), { timeout: 10_000 })

    const [dead] = await database.sql('select last_error from pgpubsub.dead_letter')
    expect(dead.last_error).toContain(`"${column}"`)
    expect(dead.last_error).not.toContain(secret)
    expect(failed.mock.calls[0]?.[0]).toMatchObject({ dead: true, error: { code: 'PGPUBSUB_UNREADABLE_ROW' } })
    expect(lines).not.toEqual([])
    expect(inspect(lines, { depth: null })).not.toContain(secret)
  },
)
