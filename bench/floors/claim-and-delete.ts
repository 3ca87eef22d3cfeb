import pg from 'pg'
import type { Database } from '../database.ts'
import { expectStored } from '../stored.ts'

// the plan that a queue needs: without this the planner reads and sorts the whole table for each thousand
const byIndex = 'set enable_seqscan = off; set enable_bitmapscan = off'
const ready = `listener = 'drain' and not waiting`
const claim = `select id, old, new from pgpubsub.notification
  where ${ready} and id > $1 order by id limit 1000 for update skip locked`
const remove = `delete from pgpubsub.notification where ${ready} and id = any ($1)`

/**
 * The floor of every queue in a table: one connection that claims 1,000 rows, deletes them and commits, and does nothing
 * with them. It goes on from where it was, so that it never pays for dead rows. @returns milliseconds, connecting
 * included
 */
export async function claimAndDelete(database: Database, size: number): Promise<number> {
  const client = new pg.Client(database.url)
  const begun = performance.now()
  await client.connect()
  await client.query(byIndex)
  let taken = 0
  for (let ids = ['0']; ids.length > 0; taken += ids.length) {
    await client.query('begin')
    const { rows } = await client.query(claim, [ids.at(-1)])
    ids = rows.map((row) => row.id)
    if (ids.length > 0) await client.query(remove, [ids])
    await client.query('commit')
  }
  const milliseconds = performance.now() - begun
  await client.end()
  if (taken !== size) throw new Error(`The bare loop took ${taken} rows of ${size}.`)
  await expectStored(database, 0)
  return milliseconds
}
