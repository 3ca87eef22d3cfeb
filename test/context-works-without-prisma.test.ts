import { carryContext, PubSub } from '@pgpubsub/core'
import pg from 'pg'
import { countingProxy } from './support/counting-proxy.ts'
import { expect, type TestDatabase, test } from './support/test.ts'

const insert = 'insert into media (url) values ($1)'

/** The engine over a pool of the user's own that carries contexts, and what was stored since the last look. */
async function carrying(database: TestDatabase, config: pg.PoolConfig = {}) {
  const pool = carryContext(new pg.Pool({ connectionString: database.url, max: 1, ...config }))
  database.closeLater(() => pool.end())
  const core = new PubSub({ pool })
  core.onChange({ name: 'record', table: 'media', order: 'none' }, () => {})
  await core.install()
  let last = '0'
  const stored = async () => {
    const rows = (await database.notifications()).filter(({ id }) => BigInt(id) > BigInt(last))
    last = rows.at(-1)?.id ?? last
    return rows.map(({ context, new: media }) => [media.url, context])
  }
  return { pool, core, stored }
}

test('the pool of the engine carries the context', async ({ database }) => {
  const core = database.core()
  core.onChange({ name: 'record', table: 'media', order: 'none' }, () => {})
  await core.install()
  await core.withContext({ a: 1 }, async () => (await core.openPool()).query(insert, ['a']))
  await (await core.openPool()).query(insert, ['b'])
  expect((await database.notifications()).map(({ context }) => context)).toEqual([{ a: 1 }, {}])
})

test('pool.query and client.query carry it, by promise and by callback, in every form', async ({ database }) => {
  const { pool, core, stored } = await carrying(database)
  await core.withContext({ a: 1 }, async () => {
    await pool.query(insert, ['promise'])
    await new Promise<void>((resolve, reject) => {
      pool.query(insert, ['callback'], (error) => (error ? reject(error) : resolve()))
    })
    await pool.query({ text: insert, values: ['config'] })
    await pool.query(`insert into media (url) values ('text')`)
    await pool.query(`insert into media (url) values ('several'); delete from media where url = 'none'`)

    const client = await pool.connect()
    await client.query(insert, ['client'])
    await new Promise<void>((resolve, reject) => {
      client.query(insert, ['client callback'], (error) => (error ? reject(error) : resolve()))
    })
    await client.query({ name: 'named', text: insert, values: ['named'] })
    await client.query({ name: 'named', text: insert, values: ['named again'] })
    await client.query({ name: 'named', values: ['by its name alone'] } as pg.QueryConfig)
    client.release()
  })
  await pool.query(insert, ['none'])
  const written = ['promise', 'callback', 'config', 'text', 'several']
  written.push('client', 'client callback', 'named', 'named again', 'by its name alone')
  expect(await stored()).toEqual([...written.map((url) => [url, { a: 1 }]), ['none', {}]])
})

test('results have the shape that they have without a context', async ({ database }) => {
  const { pool, core } = await carrying(database)
  const shape = ({ command, rowCount, rows, fields }: pg.QueryResult) => ({
    command,
    rowCount,
    rows,
    fields: fields.map(({ name }) => name),
  })
  const types = { getTypeParser: () => (value: string) => `parsed ${value}` } as unknown as pg.CustomTypesConfig
  const text = 'insert into media (url) values ($1) returning url, 1.5::numeric as n'
  const queries: (() => Promise<unknown>)[] = [
    () => pool.query(text, ['a']).then(shape),
    () => pool.query({ text, values: ['a'], rowMode: 'array' }).then(shape),
    () => pool.query({ text, values: ['a'], types }).then(shape),
    () => pool.query({ text, values: ['a'], name: 'with types', types, rowMode: 'array' }).then(shape),
    () => pool.query(insert, ['a']).then(shape),
    () => pool.query(`insert into media (url) values ('a;b') returning url`).then(shape),
    async () => ((await pool.query(`${'select 1 as one; '}delete from tag`)) as unknown as pg.QueryResult[]).map(shape),
  ]
  for (const query of queries) {
    const without = await query()
    expect(await core.withContext({ a: 1 }, query)).toEqual(without)
  }
})

test('errors are those of the statement, at its own position', async ({ database }) => {
  const { pool, core } = await carrying(database)
  const texts = [
    'insert into media (url) valuse (1)',
    `insert into media (url) values ('a'); insert into media (nope) values (1)`,
  ]
  for (const text of texts) {
    const seen = () => pool.query(text).catch(({ code, message, position }) => ({ code, message, position }))
    expect(await seen()).toHaveProperty('position')
    expect(await core.withContext({ a: 1 }, seen)).toEqual(await seen())
  }
})

test('a transaction of the user carries each statement in its own context', async ({ database }) => {
  const { pool, core, stored } = await carrying(database)
  const client = await pool.connect()
  await client.query('begin')
  await core.withContext({ a: 1 }, () => client.query(insert, ['a']))
  await client.query(insert, ['none'])
  await client.query('savepoint s')
  await core.withContext({ b: 2 }, () => client.query(insert, ['b']))
  await client.query('rollback to savepoint s')
  await client.query(insert, ['still none'])
  await client.query('commit')
  const { rows } = await client.query(`select current_setting('pgpubsub.notification_context', true) as left`)
  client.release()
  expect(rows).toEqual([{ left: '' }])
  expect(await stored()).toEqual([
    ['a', { a: 1 }],
    ['none', {}],
    ['still none', {}],
  ])
})

test('whoever waited for a connection goes on in its own context, not in that of who released it', async ({
  database,
}) => {
  const { pool, core, stored } = await carrying(database)
  const waiting = Array.from({ length: 10 }, (_, n) => {
    const write = (): Promise<unknown> => (n % 2 ? pool.query(insert, [`${n}`]) : byCallback(pool, `${n}`))
    return n % 3 === 0 ? write() : core.withContext({ n }, write)
  })
  await Promise.all(waiting)
  const changes = await stored()
  expect(changes).toHaveLength(10)
  for (const [url, context] of changes) expect(context).toEqual(Number(url) % 3 === 0 ? {} : { n: Number(url) })
})

/** The oldest way to use a pool: everything by callbacks. */
function byCallback(pool: pg.Pool, value: string): Promise<void> {
  return new Promise((resolve, reject) => {
    pool.connect((error, client, release) => {
      if (error || !client) return reject(error)
      client.query(insert, [value], (failed) => {
        release()
        if (failed) reject(failed)
        else resolve()
      })
    })
  })
}

test('queries that submit themselves, like those of pg-cursor, are left alone', async ({ database }) => {
  const { pool, core, stored } = await carrying(database)
  const query = new pg.Query(insert, ['submitted'])
  await core.withContext({ a: 1 }, async () => {
    const client = await pool.connect()
    const returned = client.query(query)
    expect(returned).toBe(query)
    await new Promise((resolve) => query.on('end', resolve))
    client.release()
  })
  expect(await stored()).toEqual([['submitted', {}]])
})

test('a write with a context makes one round trip, and a read sends no extra statement', async ({ database }) => {
  const proxy = await countingProxy(database)
  const { pool, core } = await carrying(database, { connectionString: proxy.url })
  await pool.query('select 1')
  const traffic = (text: string) => proxy.traffic(() => core.withContext({ a: 1 }, () => pool.query(text)))
  expect(await traffic(`insert into media (url) values ('a')`)).toEqual({ statements: 2, roundTrips: 1 })
  expect(await traffic(`select count(*) from media`)).toEqual({ statements: 1, roundTrips: 1 })
})

test('a context that was set outside of a transaction, and so in vain, disturbs nobody', async ({ database }) => {
  const { pool, core, stored } = await carrying(database)
  await pool.query(`set local pgpubsub.notification_context = '{"lost": true}'`)
  await core.withContext({ a: 1 }, () => pool.query(insert, ['a']))
  await pool.query(insert, ['none'])
  expect(await stored()).toEqual([
    ['a', { a: 1 }],
    ['none', {}],
  ])
})

test('doing it to a pool again changes nothing', async ({ database }) => {
  const { pool } = await carrying(database)
  const { connect } = pool
  expect(carryContext(pool)).toBe(pool)
  expect(pool.connect).toBe(connect)
})
