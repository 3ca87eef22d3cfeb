import { PubSub, silentLogger } from '@pgpubsub/core'
import type pg from 'pg'
import { expect, test as plain } from 'vitest'
import { startEmbedded } from '../tools/postgres-server.ts'
import { codes, found } from './support/doctor.ts'

type Options = NonNullable<Parameters<typeof startEmbedded>[0]>

/** An engine on a server of the test's own, which is gone after it. */
const test = plain.extend<{ engineOn: (options: Options) => Promise<PubSub> }>({
  // biome-ignore lint/correctness/noEmptyPattern: vitest wants a pattern
  engineOn: async ({}, use) => {
    const closing: (() => Promise<void>)[] = []
    await use(async (options) => {
      const { url, stop } = await startEmbedded(options)
      const engine = new PubSub({ connectionString: url, logger: silentLogger })
      closing.push(stop, () => engine.close())
      return engine
    })
    for (const close of closing.reverse()) await close()
  },
})

test('a standby', async ({ engineOn }) => {
  const engine = await engineOn({ standby: true })
  const [standby] = await found(engine, 'standby')
  expect(standby).toMatchObject({ severity: 'problem', remedy: expect.stringContaining('target_session_attrs') })
  expect(await codes(engine)).toEqual(['standby', 'engine-missing'])
})

test('autovacuum workers that are all busy, and autovacuum that is off', async ({ engineOn }) => {
  const settings = { autovacuum_max_workers: 1, autovacuum_naptime: 1, autovacuum_vacuum_cost_limit: 1 }
  const engine = await engineOn({ settings })
  await engine.install()
  expect(await codes(engine)).toEqual([])
  // a page each 100 ms: it is at work until it is told to stop
  await query(
    engine,
    'create table large with (autovacuum_vacuum_cost_delay = 100) as select n, repeat($$x$$, 500) from generate_series(1, 5000) n',
  )
  await query(engine, 'delete from large')
  const [busy] = await found(engine, 'autovacuum-busy', { vacuumSeconds: 0 })
  expect(busy).toMatchObject({
    severity: 'warning',
    message: expect.stringMatching(/^All 1 have been busy .*VACUUM.* public\.large/),
  })
  expect(await codes(engine)).toEqual([])

  await query(engine, 'alter system set autovacuum = off')
  await query(engine, 'select pg_reload_conf()')
  expect(await found(engine, 'autovacuum-off')).toMatchObject([
    { severity: 'problem', subject: 'setting autovacuum', remedy: expect.stringContaining('autovacuum = on') },
  ])
})

const query = async (engine: PubSub, statement: string): Promise<pg.QueryResult> =>
  (await engine.openPool()).query(statement)
