import { randomBytes } from 'node:crypto'
import type { TableListenerOptions } from '@pgpubsub/core'
import { type ItemChange, noPoll, onItem } from './support/items.ts'
import { expect, type TestDatabase, test } from './support/test.ts'

/** Stores changes while nobody listens, and returns them in the order in which they are handled. */
async function handled(
  database: TestDatabase,
  options: Partial<TableListenerOptions>,
  write: () => Promise<unknown>,
): Promise<ItemChange[]> {
  await database.sql('create table item (id int primary key, value int, text text)')
  const engine = database.core(noPoll)
  const seen: ItemChange[] = []
  onItem(engine, options, (change) => seen.push(change))
  await engine.install()
  await write()
  await engine.listen()
  await database.drained()
  return seen
}

test('changes of one row, small ones and large ones, arrive whole and in their order', async ({ database }) => {
  const texts = [
    'small',
    'x'.repeat(50_000), // compressed into few bytes
    'y'.repeat(3_000_000), // too large for a row even so
    randomBytes(5_000).toString('hex'),
    'small again',
    'lines\n,\r\n"and", \\n, {}\u001e\u2028',
    randomBytes(100_000).toString('hex'),
    '',
  ]
  const rows = [{ id: 1, value: 0, text: null }, ...texts.map((text, n) => ({ id: 1, value: n + 1, text }))]
  const seen = await handled(database, {}, async () => {
    await database.sql('insert into item values (1, 0, null)')
    for (const { value, text } of rows.slice(1))
      await database.sql('update item set value = $1, text = $2', [value, text])
  })
  expect(seen.map((change) => change.new)).toEqual(rows)
  expect(seen.map((change) => change.old)).toEqual([null, ...rows.slice(0, -1)])
})

test('what is known of one change only is not taken for its neighbour’s', async ({ database }) => {
  const seen = await handled(database, { select: ['id', 'value'] }, async () => {
    await database.sql(`begin; set local pgpubsub.notification_context = '{"by": "first"}';
      insert into item values (1, 1, 'a'), (2, 1, 'b'); commit`)
    await database.sql(`update item set text = 'c' where id = 2`)
    await database.sql('delete from item where id = 1')
    await database.sql(`insert into item values (3, null, 'd')`)
  })
  const inOrder = seen.toSorted((a, b) => Number(a.id - b.id))
  const told = inOrder.map(({ operation, old, new: row, changed, context }) => ({
    operation,
    old,
    new: row,
    changed,
    context,
  }))
  const by = { by: 'first' }
  expect(told).toEqual([
    { operation: 'insert', old: null, new: { id: 1, value: 1 }, changed: ['id', 'value'], context: by },
    { operation: 'insert', old: null, new: { id: 2, value: 1 }, changed: ['id', 'value'], context: by },
    { operation: 'update', old: { id: 2, value: 1 }, new: { id: 2, value: 1 }, changed: ['text'], context: {} },
    { operation: 'delete', old: { id: 1, value: 1 }, new: null, changed: ['id', 'value'], context: {} },
    { operation: 'insert', old: null, new: { id: 3, value: null }, changed: ['id', 'value'], context: {} },
  ])
})
