import { readdirSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'

/* What an editor shows beside a name: every public one has a docstring, every member of it too, and an option its default. */

const folders = ['packages/core/src', 'packages/prisma-extension/src']
const files = folders
  .flatMap((folder) => readdirSync(folder, { recursive: true }).map((file) => `${folder}/${file}`))
  .filter((file) => file.endsWith('.ts'))
  .map((file) => ({ file, lines: readFileSync(file, 'utf8').split('\n') }))

interface Declaration {
  readonly name: string
  readonly place: string
  /** What it is declared as, from its first line to its last. */
  readonly lines: readonly string[]
  readonly doc: string
}

/** The comment that ends right above a line. */
function docAbove(lines: readonly string[], at: number): string {
  if (!lines[at - 1]?.trimEnd().endsWith('*/')) return ''
  let begin = at - 1
  while (begin > 0 && !lines[begin]?.includes('/**')) begin--
  return lines.slice(begin, at).join('\n')
}

/** What a line of the top level declares for others. */
const exported = /^export (?:declare )?(?:async )?(interface|type|class|function\*?|const) (\w+)/

const declarations: Declaration[] = files.flatMap(({ file, lines }) =>
  lines.flatMap((line, at) => {
    const name = exported.exec(line)?.[2]
    if (!name) return []
    const length = lines.slice(at + 1).findIndex((later) => /^\S/.test(later)) + 1
    return [{ name, place: `${file}:${at + 1}`, lines: lines.slice(at, at + length + 1), doc: docAbove(lines, at) }]
  }),
)

/** The names that these entries of the packages export. */
function publicNames(entry: string): string[] {
  const text = readFileSync(entry, 'utf8').replace(/\/\*[\s\S]*?\*\//g, '')
  const lists = [...text.matchAll(/export (?:type )?\{([^}]*)\}/g)].flatMap(([, list = '']) => list.split(','))
  const listed = lists.map((item) => item.trim().replace(/^type /, '')).filter((item) => item !== '')
  return [
    ...listed.map((item) => item.split(' as ')[0] as string),
    ...[...text.matchAll(new RegExp(exported, 'gm'))].map(([, , name = '']) => name),
  ]
}

const entries = ['core/src/index.ts', 'core/src/testing/index.ts', 'core/src/opentelemetry/open-telemetry.ts']
const ofExtension = ['index.ts', 'testing.ts', 'opentelemetry.ts'].map((file) => `prisma-extension/src/${file}`)
const names = new Set([...entries, ...ofExtension].flatMap((entry) => publicNames(`packages/${entry}`)))
/** What a public class extends shows its members beside those of the class. */
const basesOf = (among: ReadonlySet<string>) =>
  declarations
    .filter(({ name }) => among.has(name))
    .flatMap(({ lines }) => /^export class \w+ extends (\w+)/.exec(lines[0] ?? '')?.[1] ?? [])
const shown = new Set([...names, ...basesOf(names)])
const publicly = declarations.filter(({ name }) => shown.has(name))

test('every public name is found', () => {
  const found = new Set(publicly.map(({ name }) => name))
  expect([...names].filter((name) => !found.has(name))).toEqual([])
  expect(names.size).toBeGreaterThan(90)
})

test('every public name has a docstring', () => {
  expect(publicly.filter(({ doc }) => doc === '').map(({ name, place }) => `${name} ${place}`)).toEqual([])
})

/** Names of the core that users of Prisma do not meet, and users of tables do; the others are for adapters of ORMs. */
const ofTables = [
  'PubSub',
  'Channel',
  'TableListenerOptions',
  'ChannelListenerOptions',
  'TableFilter',
  'Queryable',
  'QueryResult',
]
const ofUsers = new Set([
  ...ofTables,
  ...[...ofExtension, 'core/src/testing/index.ts', 'core/src/change.ts'].flatMap((file) =>
    publicNames(`packages/${file}`),
  ),
])

interface Member {
  readonly name: string
  readonly place: string
  readonly doc: string
  readonly line: string
}

/** The members of interfaces and classes that a user can name. Overloads stand below the first, with its docstring. */
const members: Member[] = publicly
  .filter(({ name }) => ofUsers.has(name) || basesOf(ofUsers).includes(name))
  .flatMap(({ name, place, lines }) => {
    const seen = new Set<string>()
    return lines.flatMap((line, at) => {
      const member = /^ {2}(?:(?:readonly|async|get|override) )*(\w+)(?:\?|<.*>)?[(:?]/.exec(line)?.[1]
      if (!member || member === 'constructor' || seen.has(member) || !/^export (interface|class)/.test(lines[0] ?? ''))
        return []
      seen.add(member)
      return [{ name: `${name}.${member}`, place, doc: docAbove(lines, at), line }]
    })
  })

test('every member of a public interface or class has a docstring', () => {
  expect(members.length).toBeGreaterThan(150)
  expect(members.filter(({ doc }) => doc === '').map(({ name, place }) => `${name} ${place}`)).toEqual([])
})

test('every option that may be left out says what holds then', () => {
  const options = members.filter(
    ({ name, line }) => /^\w*(?:Options|Settings|Defaults)\./.test(name) && /^ {2}(?:readonly )?\w+\?:/.test(line),
  )
  expect(options.length).toBeGreaterThan(50)
  expect(options.filter(({ doc }) => !doc.includes('@default')).map(({ name, place }) => `${name} ${place}`)).toEqual(
    [],
  )
})
