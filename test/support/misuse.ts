import { type ErrorCode, PubSubError } from '@pgpubsub/core'
import { expect, type TestDatabase } from './test.ts'

/** Stands in rows, payloads and connection strings of wrong usages: no message may have it. */
export const secret = 'hunter2'

/** Something that a user does wrong. */
export interface Misuse {
  readonly what: string
  readonly code: ErrorCode
  /** What the message must say: the thing that is wrong, and what to do. */
  readonly says: readonly string[]
  readonly by: () => unknown
}

/** Most characters of a message that is still read. */
const mostCharacters = 320

/** Each is an error of its own call, that a reader understands, and the database is as it was. */
export async function expectTold(database: TestDatabase, misuses: readonly Misuse[]): Promise<void> {
  const before = await everythingIn(database)
  for (const { what, code, says, by } of misuses) {
    const error = await errorOf(by)
    expect.soft(error, what).toBeInstanceOf(PubSubError)
    expect.soft(error, what).toMatchObject({ code })
    const { message } = error as Error
    expectReadable(what, message)
    for (const words of says) expect.soft(message, what).toContain(words)
    expect.soft(await everythingIn(database), `${what} has changed the database`).toEqual(before)
  }
}

/** What holds of every message, whatever it is about. */
export function expectReadable(what: string, message: string): void {
  // a schema's own words for what is missing
  const ours = message.replaceAll('received undefined', '')
  expect.soft(ours, what).not.toMatch(/undefined|\[object |NaN|function\s*\(|=>\s*\{/)
  expect.soft(message, what).not.toContain(secret)
  expect.soft(message, what).toMatch(/^[A-Z"a-z@][\s\S]*[\w.)?]$/)
  expect.soft(message.length, `${what}: ${message}`).toBeLessThanOrEqual(mostCharacters)
}

/** By a call that throws, or by its promise. */
async function errorOf(by: () => unknown): Promise<unknown> {
  try {
    await by()
  } catch (error) {
    return error
  }
  return new Error('It was not told.')
}

const everything = /* sql */ `
  select n.nspname || '.' || c.relname as name,
    query_to_xml(format('select t.*, t.xmin from %I.%I t', n.nspname, c.relname), true, false, '')::text as rows
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'r' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  union all
  select 'triggers', string_agg(t.tgname || t.tgenabled::text || t.oid::text, ',' order by t.oid) from pg_trigger t
  union all
  select 'schemas', string_agg(n.nspname, ',' order by n.nspname) from pg_namespace n where n.nspname !~ '^pg_t'
  order by 1`

const everythingIn = (database: TestDatabase) => database.sql(everything)
