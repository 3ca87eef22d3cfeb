import { test as base, vi } from 'vitest'
import { type RestartablePostgres, startEmbedded } from '../../tools/postgres-server.ts'
import { expect, inject, TestDatabase } from './test.ts'

/** `test` whose `database` is on a `server` of the test's own, of the suite's version, to be ended and started at will. */
export const test = base.extend<{ server: RestartablePostgres; database: TestDatabase }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  server: async ({}, use) => {
    const server = await startEmbedded({ version: inject('postgresMajor') })
    try {
      await use(server)
    } finally {
      await server.stop()
    }
  },
  database: async ({ server }, use) => {
    const database = new TestDatabase(server.url)
    const end = server.end.bind(server)
    // what a test writes after the end goes to no connection from before
    server.end = async (signal) => {
      await end(signal)
      await vi.waitFor(() => expect(database.pool.totalCount).toBe(0))
    }
    await use(database)
    await database.close()
  },
})
