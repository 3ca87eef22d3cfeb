import { expect, type TestDatabase, vi } from './test.ts'

/** How many listeners of how many workers have declared themselves asleep. */
export async function asleep(database: TestDatabase): Promise<number> {
  const [row] = await database.sql(
    `select count(*)::int as asleep from pg_locks
     where locktype = 'advisory' and mode = 'ShareLock' and granted
       and database = (select oid from pg_database where datname = current_database())`,
  )
  return row.asleep
}

export async function untilAsleep(database: TestDatabase, count = 1): Promise<void> {
  await vi.waitFor(async () => expect(await asleep(database)).toBe(count), { timeout: 10_000, interval: 5 })
}

/** Until the only one that is asleep has looked for the last time: what is stored from now on it has to be told of. */
export async function untilFastAsleep(database: TestDatabase): Promise<void> {
  await untilAsleep(database)
  const hasLooked = async () => {
    const [row] = await database.sql(
      `select count(*)::int as looked from pg_stat_activity
       where datname = current_database() and application_name = 'pgpubsub listen'
         and state = 'idle' and query like '%until_retry%'`,
    )
    expect(row.looked).toBe(1)
  }
  await vi.waitFor(hasLooked, { timeout: 10_000, interval: 5 })
}
