import fc from 'fast-check'
import pg from 'pg'
import { identifier, literal } from '../packages/core/src/quote.ts'
import { expect, test, vi } from './support/test.ts'

const nasty = [
  `it's`,
  '"quoted"',
  'back\\slash\\',
  `\\' or 1=1 --`,
  '$do$ $function$ $$',
  '%I %s %',
  '{"a","b"}',
  '{$pgpubsub:text}',
  '__proto__',
  'constructor',
  '\u202e\u0001\u001b[2J\r\n\t',
  '🎫'.repeat(15),
  '\ufffe\uffff',
]

/** Any text that PostgreSQL can hold. */
const text = fc.oneof(
  fc.constantFrom(...nasty),
  fc.string({ unit: 'binary', maxLength: 200 }).map((any) => any.replaceAll('\0', '')),
)

/** JSON as text, with what jsonb refuses or writes in another way. */
const json = fc.oneof(
  fc.json(),
  fc.constantFrom(
    String.raw`"\u0000"`,
    String.raw`{"a\u0000b": "\ud800", "\udfff": ["\u0000"]}`,
    '{"$pgpubsub:text": ["json text"], "__proto__": {"x": 1}, "a": 1, "a": 2}',
    '[1e400, -1e400, 1e-400, 12345678901234567890.123456789, 1.10, 0.1e1]',
    ` [ ${'"x", '.repeat(2_000)} null ] `,
    `"${'x'.repeat(200_000)}"`,
    ...nasty.map((each) => JSON.stringify({ [each]: each })),
  ),
)

test('every text and every json that a row can hold arrives as Prisma reads it', async ({ database }) => {
  const prisma = database.prisma()
  const seen = new Map<number, unknown>()
  let enough: () => void = () => {}
  prisma.everyType.onPostInsert({ name: 'every-type', order: 'none' }, ({ new: row }) => {
    seen.set(row.id, [row.string, row.strings, row.jsonText])
    enough()
  })
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  const rows = fc.array(fc.record({ string: text, strings: fc.array(text, { maxLength: 3 }), json }), {
    minLength: 10,
    maxLength: 20,
  })
  const property = fc.asyncProperty(rows, async (written) => {
    seen.clear()
    const all = new Promise<void>((resolve) => {
      enough = () => void (seen.size === written.length && resolve())
    })
    await database.sql(
      `insert into every_type (string, strings, "json text")
       select r ->> 'string', array(select json_array_elements_text(r -> 'strings')), (r ->> 'json')::json
       from json_array_elements($1::json) r`,
      [JSON.stringify(written)],
    )
    await all
    const read = await prisma.everyType.findMany({ where: { id: { in: [...seen.keys()] } } })
    for (const row of read) expect(seen.get(row.id)).toEqual([row.string, row.strings, row.jsonText])
    expect(read).toHaveLength(written.length)
  })
  await fc.assert(property, { numRuns: 20, endOnFailure: true })
})

test('every text is a context: the write succeeds, and what is no JSON object is kept as it is', async ({
  database,
}) => {
  const prisma = database.prisma()
  const contexts: unknown[] = []
  prisma.media.onPostInsert('media', ({ context }) => void contexts.push(context))
  await prisma.$pubsub.install()
  await prisma.$pubsub.listen()
  const client = await database.pool.connect()
  database.closeLater(async () => client.release())
  const property = fc.asyncProperty(fc.oneof(text, json), async (context) => {
    contexts.length = 0
    await client.query('begin')
    await client.query(`set local pgpubsub.notification_context = ${pg.escapeLiteral(context)}`)
    await client.query(`insert into media (url) values ('a')`)
    await client.query('commit')
    await vi.waitFor(() => expect(contexts).toHaveLength(1), { timeout: 10_000, interval: 1 })
    expect([asObject(context), { '$pgpubsub:text': context }]).toContainEqual(contexts[0])
  })
  await fc.assert(property, { numRuns: 120, endOnFailure: true })
})

/** What a JSON object says, `{}` for no text; undefined for anything else. */
function asObject(context: string): unknown {
  if (context === '') return {}
  try {
    const value = JSON.parse(context)
    return typeof value === 'object' && !Array.isArray(value) && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

const settings = [
  'standard_conforming_strings = off',
  'backslash_quote = on',
  'quote_all_identifiers = on',
  `search_path = ''`,
  `plpgsql.extra_errors = 'all'`,
  `plpgsql.variable_conflict = 'use_column'`,
  `default_transaction_isolation = 'serializable'`,
  'row_security = off',
  'array_nulls = off',
  `bytea_output = 'escape'`,
  `datestyle = 'SQL, DMY'`,
]

test('where the settings of a database are the strangest, names of any kind are still only names', async ({
  database,
}) => {
  const [{ name }] = await database.sql('select quote_ident(current_database()) as name')
  for (const setting of settings) await database.sql(`alter database ${name} set ${setting}`)
  for (const [index, nastyName] of nasty.entries()) {
    const cut = Buffer.from(nastyName).subarray(0, 60).toString().replaceAll('\ufffd', '')
    const id = pg.escapeIdentifier
    const core = database.core({ schema: `e ${cut}`.slice(0, 60) })
    await database.sql(`create table ${id(cut)} (${id(cut)} int primary key, ${id(`s${cut}`)} text)`)
    const handled: unknown[] = []
    core.onChange({ name: cut, table: cut, omit: [`s${cut}`] }, ({ new: row }) => handled.push(row))
    core.onChange({ name: `2 ${cut}`, table: cut, columns: [cut], timing: 'before' }, ({ new: row }) => {
      handled.push(row)
    })
    await core.install()
    expect((await core.install()).created, nastyName).toEqual([])
    await core.listen()
    await database.sql(`insert into ${id(cut)} values ($1, $2)`, [index, nastyName])
    await vi.waitFor(() => expect(handled).toHaveLength(2), { timeout: 10_000, interval: 5 })
    expect(handled).toContainEqual({ [cut]: index })
    expect(handled).toContainEqual({ [cut]: index, [`s${cut}`]: nastyName })
    await core.close()
  }
})

test('names and texts are quoted as pg quotes them', () => {
  fc.assert(
    fc.property(text, (any) => {
      expect(identifier(any)).toBe(pg.escapeIdentifier(any))
      expect(literal(any)).toBe(pg.escapeLiteral(any))
    }),
    { numRuns: 1_000 },
  )
})
