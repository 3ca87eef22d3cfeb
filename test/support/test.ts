import { randomBytes } from 'node:crypto'
import { PubSub, type PubSubOptions, silentLogger } from '@pgpubsub/core'
import { pubsub, pubsubAdapter } from '@pgpubsub/prisma-extension'
import { PrismaPg } from '@prisma/adapter-pg'
import pg from 'pg'
import { test as base, expect, inject, vi as vitest } from 'vitest'
import { PrismaClient } from '../../prisma/generated/client.ts'
import { databaseUrl } from './database-url.ts'

export { describe, expect, inject } from 'vitest'

/** Conditions are waited for as long as a busy machine may take. */
export const vi: typeof vitest = Object.assign(Object.create(vitest), {
  waitFor: ((condition, options) =>
    vitest.waitFor(condition, {
      timeout: 10_000,
      ...(typeof options === 'number' ? { timeout: options } : options),
    })) as typeof vitest.waitFor,
})

export interface ClientOptions extends Omit<PubSubOptions, 'connectionString' | 'pool'> {
  /** `'carrying'`: our adapter; `'plain'`: Prisma's own. */
  adapter?: 'carrying' | 'plain'
  /** Where Prisma and the engine connect to, if not to the database itself. */
  url?: string
  /** Most connections of Prisma's pool. */
  max?: number
}

export type TestClient = ReturnType<typeof extendedClient>

function extendedClient(url: string, { adapter = 'carrying', max = 5, ...options }: Omit<ClientOptions, 'url'>) {
  const config = { connectionString: url, max }
  const prisma = new PrismaClient({ adapter: adapter === 'carrying' ? pubsubAdapter(config) : new PrismaPg(config) })
  return prisma.$extends(pubsub({ connectionString: url, logger: silentLogger, ...options }))
}

/** A database of the test's own: a copy of the template, dropped after it. */
export class TestDatabase {
  readonly url: string
  /** For statements that come from somewhere else than the library: psql, a migration, an attacker. */
  readonly pool: pg.Pool
  readonly #closing: (() => Promise<unknown>)[] = []

  constructor(url: string) {
    this.url = url
    this.pool = new pg.Pool({ connectionString: url, application_name: 'test' })
    this.pool.on('error', () => {})
  }

  /** Rows of a statement sent by the test itself. */
  // biome-ignore lint/suspicious/noExplicitAny: a row's columns are known only to the statement
  async sql(text: string, values: unknown[] = []): Promise<any[]> {
    return (await this.pool.query(text, values)).rows
  }

  /** A Prisma Client with the extension, closed after the test. */
  prisma(options: ClientOptions = {}): TestClient {
    const { url = this.url, ...others } = options
    const prisma = extendedClient(url, others)
    this.closeLater(async () => {
      await prisma.$pubsub.close()
      await prisma.$disconnect()
    })
    return prisma
  }

  /** The engine without Prisma, closed after the test. */
  core(options: Omit<PubSubOptions, 'pool'> = {}): PubSub {
    const core = new PubSub({ connectionString: this.url, logger: silentLogger, ...options })
    this.closeLater(() => core.close())
    return core
  }

  closeLater(close: () => Promise<unknown>): void {
    this.#closing.push(close)
  }

  /** The stored notifications, oldest first. */
  notifications(schema = 'pgpubsub'): ReturnType<TestDatabase['sql']> {
    return this.sql(`select * from ${pg.escapeIdentifier(schema)}.notification order by id`)
  }

  /** Waits until no notification is stored any more. */
  async drained(schema = 'pgpubsub'): Promise<void> {
    await vi.waitFor(async () => expect(await this.notifications(schema)).toEqual([]), {
      timeout: 15_000,
      interval: 10,
    })
  }

  async close(): Promise<void> {
    for (const close of this.#closing.reverse()) await close()
    try {
      await this.#expectNoLeaks()
    } finally {
      await this.pool.end()
    }
  }

  /** Whatever the test opened is closed now: nothing but this very connection may be left at the server. */
  async #expectNoLeaks(): Promise<void> {
    const others = `select application_name, state, query from pg_stat_activity
      where datname = current_database() and application_name <> 'test' and backend_type = 'client backend'`
    await vi.waitFor(async () => expect(await this.sql(others), 'connections left open').toEqual([]), {
      timeout: 5_000,
    })
    const idle = `select query from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`
    expect(await this.sql(idle), 'transactions left open').toEqual([])
  }
}

async function onServer(statement: string): Promise<void> {
  const client = new pg.Client(inject('postgresUrl'))
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

/** `test` with a `database` of its own, that checks for leaks when the test is over. */
export const test = base.extend<{ database: TestDatabase }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  database: async ({}, use) => {
    const name = `test_${randomBytes(6).toString('hex')}`
    await onServer(`create database ${name} template ${inject('templateDatabase')}`)
    const database = new TestDatabase(databaseUrl(inject('postgresUrl'), name))
    try {
      await use(database)
      await database.close()
    } finally {
      await onServer(`drop database if exists ${name} with (force)`)
    }
  },
})
