import { describe, expect, test } from 'vitest'
import { readSchemaText } from '../packages/prisma-extension/src/schema-text.ts'

const lists = (schema: string) => [...readSchemaText(schema).lists]
const mapped = (schema: string, name: string) => Object.fromEntries(readSchemaText(schema).enums.get(name) ?? [])

describe('lists', () => {
  test('are found in every model, view and type, relations included', () => {
    const schema = `
      model Post {
        id    Int      @id
        tags  String[] @default([])
        notes   String  []
        größe_1 Int[]
        when  DateTime[]@db.Timestamptz(6)
        by    User[]
        kind  Kind?
      }
      view Summary { 
        ids Int[]
      }
      model user_2 {
        moods Mood[]
      }`
    expect(lists(schema)).toEqual([
      'Post.tags',
      'Post.notes',
      'Post.größe_1',
      'Post.when',
      'Post.by',
      'Summary.ids',
      'user_2.moods',
    ])
  })

  test('of unsupported types are lists too', () => {
    expect(
      lists('model M {\n  a Unsupported("vector(3)[]")[]\n  b Unsupported("x\\"[]")[]\n c Unsupported("circle[]")\n}'),
    ).toEqual(['M.a', 'M.b'])
  })

  test('are not what only looks like one: comments, defaults, attributes, texts', () => {
    const schema = `
      model M {
        // a String[]
        /// b String[]
        c String // String[]
        d String @default("String[] // @map(\\"x\\") } ")
        e Int @default(dbgenerated("array_length('{}'::text[], 1)"))
        /* f String[] */
        /*
        g String[]
        */
        h String[] // kept "
        i String @map("// not a comment") // a comment
        j String[]
        @@index([j(ops: raw("x[]"))])
        @@unique([h, j])
      }`
    expect(lists(schema)).toEqual(['M.h', 'M.j'])
  })

  test('are found whatever ends the lines, also where files are joined', () => {
    expect(lists('model A {\r\n  x Int[]\r\n}\r\nmodel B {\r\n  y Int[]\r\n}')).toEqual(['A.x', 'B.y'])
    expect(lists('model A {\n  x Int[]\n}model B {\n  y Int[]\n}')).toEqual(['A.x', 'B.y'])
    expect(lists('datasource db {\n  schemas = ["a", "b"]\n}\n\nmodel A {\n  x Int[] }')).toEqual(['A.x'])
  })

  test('end with their model: a brace in a text or in a comment does not end it', () => {
    expect(lists('model A {\n  json Json @default("{\\n}")\n// }\n  x Int[]\n}\ntype B {\n  y Int[]\n}')).toEqual([
      'A.x',
      'B.y',
    ])
  })
})

describe('enum values', () => {
  test('are found by what the database calls them', () => {
    const schema = `
      enum Role {
        USER   @map("user")
        ADMIN  @map(name: "the \\"admin\\"")
        OWNER
        EMOJI  @map("🙂 // \\\\ }")
        @@map("role")
        @@schema("archive")
      }
      enum Other {
        USER @map("other user") // @map("no")
        // ADMIN @map("nobody")
      }
      enum Plain {
        A
      }`
    expect(mapped(schema, 'Role')).toEqual({ user: 'USER', 'the "admin"': 'ADMIN', '🙂 // \\ }': 'EMOJI' })
    expect(mapped(schema, 'Other')).toEqual({ 'other user': 'USER' })
    expect(mapped(schema, 'Plain')).toEqual({})
  })

  test('may swap their names', () => {
    expect(mapped('enum E {\n  A @map("B")\n  B @map("A")\n}', 'E')).toEqual({ B: 'A', A: 'B' })
  })

  test('are not taken from a model of the same text', () => {
    expect(readSchemaText('model M {\n  a String @map("b")\n}').enums.size).toBe(0)
  })
})

test('values of an enum are found, mapped or not', () => {
  const schema = `enum Mood {
    Happy @map("h") // Not
    sad_2
    größer/* No */
    Last@map("l")

    @@map("mood")
    @@schema("archive")
  }
  enum One { A }`
  const { members, enumTypes } = readSchemaText(schema)
  expect(Object.fromEntries(members)).toEqual({ Mood: ['Happy', 'sad_2', 'größer', 'Last'], One: ['A'] })
  expect(Object.fromEntries(enumTypes)).toEqual({
    Mood: { schema: 'archive', name: 'mood' },
    One: { schema: 'public', name: 'One' },
  })
})

describe('keys', () => {
  const keys = (body: string) => readSchemaText(`model M {\n${body}\n}`).keys.get('M')

  test('are the id, of one field or of several', () => {
    expect(keys('  email String @unique\n  id Int @default(autoincrement()) @id')).toEqual(['id'])
    expect(keys('  a Int @unique\n  b Int\n  @@id([b, a])')).toEqual(['b', 'a'])
    expect(keys('  a Int\n  b Int\n  @@id(map: "x]", fields: [a(sort: Desc), b])')).toEqual(['a', 'b'])
    expect(keys('  id_ Int // @id\n  größe Int @id @map("@unique")')).toEqual(['größe'])
  })

  test('are else the first unique fields that cannot be null', () => {
    expect(keys('  a String? @unique\n  b String[] @unique\n  c String @unique\n  d String @unique')).toEqual(['c'])
    expect(keys('  a Int\n  b Int?\n  c Int\n  @@unique([a, b])\n  @@unique([a, c], name: "x")')).toEqual(['a', 'c'])
    expect(keys('  a Int\n  @@unique([a], where: raw("a > 0"))')).toBeUndefined()
    expect(keys('  a Int\n  @@index([a])')).toBeUndefined()
  })
})

test('types of the database are those that are named', () => {
  const { nativeTypes } = readSchemaText(
    'model M {\n  a Json @db.Json\n  b String @map("@db.Xml")\n  c Decimal @default(0) @db.Decimal(12, 4)\n}',
  )
  expect([...nativeTypes]).toEqual([
    ['M.a', 'Json'],
    ['M.c', 'Decimal'],
  ])
})

test('an empty schema has nothing', () => {
  expect(readSchemaText('')).toEqual({
    lists: new Set(),
    enums: new Map(),
    members: new Map(),
    enumTypes: new Map(),
    keys: new Map(),
    nativeTypes: new Map(),
  })
})
