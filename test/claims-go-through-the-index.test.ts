import pg from 'pg'
import { createItems, noPoll, onItem } from './support/items.ts'
import { expect, type TestDatabase, test, vi } from './support/test.ts'

interface Reads {
  /** How often a table was read from its beginning to its end. */
  readonly sequential: number
  /** Rows that were fetched by an index. */
  readonly fetched: number
}

async function reads(database: TestDatabase): Promise<Reads> {
  const [row] = await database.sql(`select seq_scan::int as sequential, idx_tup_fetch::int as fetched
    from pg_stat_user_tables where schemaname = 'pgpubsub' and relname = 'notification'`)
  return row
}

/** Waits until the server has taken leave of every connection but this pool's. */
async function othersGone(database: TestDatabase): Promise<void> {
  const others = `select pid from pg_stat_activity where datname = current_database() and application_name <> 'test'`
  await vi.waitFor(async () => expect(await database.sql(others)).toEqual([]), { timeout: 10_000, interval: 20 })
}

test.for([
  { order: 'row', statistics: 'of an empty table' },
  { order: 'none', statistics: 'of an empty table' },
  { order: 'row', statistics: 'of a huge one' },
] as const)(
  'with statistics $statistics (order: $order), and read little more than they take',
  async ({ order, statistics }, { database }) => {
    const mine = 3_000
    await createItems(database)
    const declared = () => {
      const engine = database.core(noPoll)
      for (const name of ['mine', 'of-another']) {
        onItem(engine, { name, order, attempts: 2, backoff: () => 1 }, (change) => {
          if ((change.new?.id ?? 0) % 100 === 0) throw new Error('every hundredth')
        })
      }
      return engine
    }
    // connections tell what they have read when they end, so what is prepared here is done on another one
    const setup = new pg.Client(database.url)
    await setup.connect()
    const store = (count: number) => setup.query(`insert into item select id, id from generate_series(1, ${count}) id`)
    const installing = declared()
    await installing.install()
    await installing.close()
    if (statistics === 'of a huge one') await store(20_000)
    await setup.query('analyze pgpubsub.notification')
    if (statistics === 'of a huge one') await setup.query('delete from pgpubsub.notification; truncate item')
    await store(mine)
    await setup.query('alter table pgpubsub.notification set (autovacuum_enabled = off)')
    await setup.end()
    await othersGone(database)
    const before = await reads(database)

    // nothing is asked of the table meanwhile: that would be counted too
    let done = 0
    const engine = declared()
    engine.on('handled', () => done++)
    engine.on('failed', ({ dead }) => dead && done++)
    await engine.listen({ listeners: ['mine'] })
    await vi.waitFor(() => expect(done).toBe(mine), { timeout: 15_000 })
    await engine.close()
    await othersGone(database)
    const after = await reads(database)
    expect(after.fetched - before.fetched).toBeGreaterThanOrEqual(mine)
    const looks = 1_000 // of claims that found nothing
    expect(after.fetched - before.fetched).toBeLessThan(10 * mine + looks)
    expect(after.sequential).toBe(before.sequential)
  },
)
