/** A shop on `pg` alone. Run it with DATABASE_URL naming an empty database. */
import { setTimeout as pass } from 'node:timers/promises'
import { inTransaction, pool, tables } from './database.ts'
import { pubsub } from './pubsub.ts'

const buy = 'insert into purchase (product, quantity) values ($1, $2) returning id'

await pool.query(tables)
await pubsub.install()
await pubsub.listen()

// each request with its user as context
const id = await pubsub.withContext({ user: 'ada' }, () =>
  inTransaction(async (client) => (await client.query(buy, ['lamp', 2])).rows[0].id),
)

// what is rolled back was never there
await pubsub
  .withContext({ user: 'bob' }, () =>
    inTransaction(async (client) => {
      await client.query(buy, ['lamp', 5])
      throw new Error('The payment was refused.')
    }),
  )
  .catch((error) => console.log(error.message))

// a program without this library sets the context in SQL
await inTransaction(async (client) => {
  await client.query(`set local pgpubsub.notification_context = '{"user": "grace"}'`)
  await client.query('update purchase set quantity = 3 where id = $1', [id])
})

await untilHandled()
const { rows } = await pool.query('select stock from product')
console.log(`in stock: ${rows[0].stock}`)
await pubsub.close()
await pool.end()

async function untilHandled(): Promise<void> {
  const waits = async () =>
    (await pubsub.status()).some(({ ready, scheduled, running }) => ready + scheduled + running > 0)
  while (await waits()) await pass(20)
}
