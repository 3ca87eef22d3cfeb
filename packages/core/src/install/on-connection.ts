import type { Connection, Pool } from '../database.js'

const ignore = () => {}

/** Runs `work` on a connection of its own. Where that is lost, the running statement reports it. */
export async function onConnection<T>(pool: Pool, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = await pool.connect()
  connection.on('error', ignore)
  try {
    return await work(connection)
  } finally {
    connection.removeListener('error', ignore)
    connection.release()
  }
}

/** Where there is nothing to roll back any more, that is as well. */
export const rollBack = (connection: Connection): Promise<unknown> => connection.query('rollback').catch(ignore)
