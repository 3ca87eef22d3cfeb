import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Pen } from './writer.ts'

/* Plain pg: transactions of one to several statements, with savepoints, held open, rolled back, and left in doubt. */

type Statement = (client: pg.ClientBase, pen: Pen) => Promise<unknown>

const insertOne: Statement = (client, { mark }) => client.query('insert into media (url) values ($1)', [mark])

const insertMany: Statement = (client, { mark, random }) =>
  client.query('insert into media (url) select $1 from generate_series(1, $2::int)', [mark, manyRows(random)])

// a row of the shared ones, which may have been deleted
const upsertShared: Statement = (client, { mark, random, sharedRows }) =>
  client.query('insert into media (id, url) values ($1, $2) on conflict (id) do update set url = excluded.url', [
    random.int(1, sharedRows),
    mark,
  ])

const updateHot: Statement = (client, { mark, random }) =>
  client.query('update media set url = $1 where id = $2', [mark, random.int(1, 5)])

const updateMany: Statement = (client, { mark, random, sharedRows }) => {
  const from = random.int(1, sharedRows)
  return client.query('update media set url = $1 where id between $2 and $3', [mark, from, from + manyRows(random)])
}

const deleteOne: Statement = (client, { random, sharedRows }) =>
  client.query('delete from media where id = $1', [random.int(1, sharedRows)])

const deleteNewest: Statement = (client, { random }) =>
  client.query('delete from media where id in (select id from media order by id desc limit $1)', [manyRows(random)])

/** Most often few, seldom up to 500. */
const manyRows = (random: Pen['random']) => Math.ceil(500 ** (random.int(0, 1000) / 1000))

/** Writes once: one statement that commits by itself, or a transaction. */
export function pgWrites(pool: pg.Pool): (pen: Pen) => Promise<void> {
  return async (pen) => {
    const client = await connected(pool)
    if (!client) return
    const broken = await (pen.random.chance(0.4) ? single(client, pen) : transaction(client, pen))
    client.release(broken)
  }
}

async function connected(pool: pg.Pool): Promise<pg.PoolClient | null> {
  try {
    return await pool.connect()
  } catch {
    await sleep(50) // the server is away
    return null
  }
}

const statement = ({ random }: Pen) =>
  random.weighted([
    [30, insertOne],
    [30, upsertShared],
    [30, updateHot],
    [10, deleteOne],
    [2, insertMany],
    [2, updateMany],
    [1, deleteNewest],
  ])

/** @returns whether the connection is of no use any more. */
async function single(client: pg.PoolClient, pen: Pen): Promise<boolean> {
  try {
    await statement(pen)(client, pen)
    pen.record.write({ is: 'committed', mark: pen.mark })
    return false
  } catch (error) {
    // a statement that is refused has done nothing; one without an answer, nobody knows
    const refused = isRefusal(error)
    pen.record.write({ is: refused ? 'rolled back' : 'unknown', mark: pen.mark })
    return !refused
  }
}

async function transaction(client: pg.PoolClient, pen: Pen): Promise<boolean> {
  const { random, mark, record } = pen
  const rollBack = random.chance(0.2)
  let committing = false
  try {
    await client.query('begin')
    if (random.chance(0.4)) await setContext(client, pen)
    for (let left = random.int(1, 4); left > 0; left--) await step(client, pen)
    committing = !rollBack
    await client.query(rollBack ? 'rollback' : 'commit')
    record.write({ is: rollBack ? 'rolled back' : 'committed', mark })
    return false
  } catch (error) {
    const unknown = committing && !isRefusal(error)
    record.write({ is: unknown ? 'unknown' : 'rolled back', mark })
    return true // closing it rolls back
  }
}

const setContext: Statement = (client, { mark }) =>
  client.query(`select set_config('pgpubsub.notification_context', $1, true)`, [JSON.stringify({ mark })])

async function step(client: pg.PoolClient, pen: Pen): Promise<void> {
  const { random } = pen
  if (random.chance(0.2)) await undoneStep(client, pen)
  await statement(pen)(client, pen)
  if (random.chance(0.1)) await sleep(random.int(20, 1_500))
}

/** What is written behind a savepoint and rolled back to it, under a mark of its own. */
async function undoneStep(client: pg.PoolClient, pen: Pen): Promise<void> {
  const mark = `${pen.mark}.undone`
  await client.query('savepoint before')
  await statement(pen)(client, { ...pen, mark })
  await client.query('rollback to savepoint before')
  pen.record.write({ is: 'rolled back', mark })
}

/** The server has said no, and was not itself about to end. */
function isRefusal(error: unknown): boolean {
  return error instanceof pg.DatabaseError && !/^(57P|08)/.test(error.code ?? '')
}
