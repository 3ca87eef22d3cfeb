import { PubSub, silentLogger } from '@pgpubsub/core'
import pg from 'pg'
import { untilAsleep } from './support/asleep.ts'
import { countingPool, passing } from './support/counting-pool.ts'
import { createItems, noPoll, onItem, valueAfter } from './support/items.ts'
import { expect, test } from './support/test.ts'

const payloads = [
  '',
  '{',
  '{"listener":"items"}',
  '[1,2',
  'null',
  'items; drop table item',
  "'; drop schema pgpubsub cascade; --",
  'constructor',
  '__proto__',
  'hasOwnProperty',
  '\u0001\u001b[2J🙂',
  'x'.repeat(7_900),
  'items',
]

test('whatever anyone sends on our channel or another, the worker lives on and handles what is really there', async ({
  database,
}) => {
  await createItems(database)
  const engine = database.core(noPoll)
  const handled: unknown[] = []
  const errors: unknown[] = []
  onItem(engine, {}, (change) => handled.push(valueAfter(change)))
  engine.on('error', ({ error }) => errors.push(error))
  engine.on('connectionLost', ({ error }) => errors.push(error))
  await engine.install()
  await engine.listen()
  await untilAsleep(database)
  for (const channel of ['pgpubsub', 'PGPUBSUB', 'items', 'something else']) {
    for (const payload of payloads) await database.sql('select pg_notify($1, $2)', [channel, payload])
  }
  await database.sql(`notify ${pg.escapeIdentifier('pgpubsub')}`)
  await database.sql('insert into item values (1, 1)')
  await database.drained()
  expect(handled).toEqual([1])
  expect(errors).toEqual([])
})

test('a worker that is called for nothing while a transaction is open does not claim in a tight loop', async ({
  database,
}) => {
  await createItems(database)
  const { pool, taken } = countingPool(database)
  const engine = new PubSub({ pool, logger: silentLogger, ...noPoll })
  database.closeLater(() => engine.close())
  const handled: unknown[] = []
  onItem(engine, {}, (change) => handled.push(valueAfter(change)))
  await engine.install()
  const writer = await database.pool.connect()
  await writer.query('begin')
  await writer.query('insert into item values (1, 1)')
  await engine.listen()
  await untilAsleep(database)
  for (let call = 0; call < 5; call++) await database.sql(`notify pgpubsub, 'items'`)
  const before = taken()
  await passing(1_000)
  const claims = taken() - before
  await writer.query('commit')
  writer.release()
  await database.drained()
  expect(handled).toEqual([1])
  // the pause between two looks grows from 1 to 50 ms at once
  expect(claims).toBeLessThan(30)
})
