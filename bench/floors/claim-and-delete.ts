import pg from 'pg'
import type { Database } from '../database.ts'
import { expectStored } from '../stored.ts'

// the plan that a queue needs: without this the planner reads and sorts the whole table for each thousand
const byIndex = 'set enable_seqscan = off; set enable_bitmapscan = off'
const ready = `listener = 'drain' and not waiting`
const claim = `select id, old, new from pgpubsub.notification
  where ${ready} and id > $1 order by id limit $2 for update skip locked`
const remove = `delete from pgpubsub.notification where ${ready} and id = any ($1)`

/**
 * The floor of every queue in a table: connections that claim rows, delete them and commit, and do nothing with them.
 * Each goes on from where it was, so that it never pays for dead rows. @returns milliseconds, connecting included
 */
export async function claimAndDelete(
  database: Database,
  size: number,
  { limit = 1_000, connections = 1 } = {},
): Promise<number> {
  const begun = performance.now()
  const taken = await Promise.all(Array.from({ length: connections }, () => takeAll(database.url, limit)))
  const milliseconds = performance.now() - begun
  const sum = taken.reduce((one, other) => one + other)
  if (sum !== size) throw new Error(`The bare loop took ${sum} rows of ${size}.`)
  await expectStored(database, 0)
  return milliseconds
}

async function takeAll(url: string, limit: number): Promise<number> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query(byIndex)
  let taken = 0
  for (let last = '0', goesOn = true; goesOn; ) {
    await client.query('begin')
    const { rows } = await client.query({ name: 'claim', text: claim, values: [last, limit] })
    const ids = rows.map((row) => row.id)
    if (ids.length > 0) await client.query({ name: 'remove', text: remove, values: [ids] })
    await client.query('commit')
    taken += ids.length
    last = ids.at(-1)
    goesOn = ids.length > 0
  }
  await client.end()
  return taken
}
