import { gate } from './support/gate.ts'
import { createItems, onItem, valueAfter } from './support/items.ts'
import { expect, inject, type TestDatabase, test, vi } from './support/test.ts'

async function loseBatches(database: TestDatabase): Promise<void> {
  const lost = await database.sql(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'pgpubsub' and state = 'idle in transaction'`)
  expect(lost).toHaveLength(1)
}

test('when its connection is lost, a batch aborts what runs, begins no more, and its rows keep their order', async ({
  database,
}) => {
  await createItems(database)
  const begun: unknown[] = []
  const first = gate()
  const core = database.core()
  onItem(core, { concurrency: 1 }, async (change) => {
    const isFirst = begun.push(valueAfter(change)) === 1
    if (!isFirst) return
    const aborted = new Promise((resolve) => change.signal.addEventListener('abort', resolve))
    first.open()
    await aborted
  })
  await core.install()
  await database.sql('insert into item values (1, 0)')
  for (let update = 0; update < 3; update++) await database.sql('update item set value = value + 1')
  await core.listen()
  await first.opened
  await loseBatches(database)
  await database.drained()
  expect(begun).toEqual([0, 0, 1, 2, 3])
})

test.runIf(inject('postgresMajor') >= 17)('transaction_timeout does not end a batch', async ({ database }) => {
  await createItems(database)
  const installer = database.core()
  onItem(installer, {}, () => {})
  await installer.install()
  // from now on, for new connections
  const [{ name }] = await database.sql('select current_database() as name')
  await database.sql(`alter database ${name} set transaction_timeout = 500`)
  const core = database.core()
  const errors: unknown[] = []
  core.on('error', ({ error }) => errors.push(error))
  const outlasted = async () => {
    const [batch] = await database.sql(`select max(clock_timestamp() - xact_start) > interval '600 ms' as outlasted
      from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`)
    expect(batch.outlasted).toBe(true)
  }
  const handle = vi.fn(() => vi.waitFor(outlasted, { timeout: 5_000 }))
  onItem(core, {}, handle)
  await core.listen()
  await database.sql('insert into item values (1, 0)')
  await database.drained()
  expect(handle).toHaveBeenCalledOnce()
  expect(errors).toEqual([])
})
