import { randomBytes } from 'node:crypto'
import pg from 'pg'
import type { TestDatabase } from './test.ts'

/** A client that acts as a new role, which has these rights and no others. Both are gone after the test. */
export async function clientOfNewRole(
  database: TestDatabase,
  rights: readonly string[],
): Promise<{ client: pg.Client; role: string }> {
  const role = `role_${randomBytes(6).toString('hex')}`
  await database.sql([`create role ${role}`, ...rights.map((right) => `grant ${right} to ${role}`)].join('; '))
  const client = new pg.Client(database.url)
  await client.connect()
  database.closeLater(async () => {
    await client.end()
    await database.sql(`drop owned by ${role} cascade; drop role ${role}`)
  })
  await client.query(`set role ${role}`)
  return { client, role }
}
