import pg from 'pg'
import { endConnection } from '../cut.js'
import type { ResultRow } from '../database.js'

/** The last statement that each connection was given. pg wants them one after another. */
const turns = new WeakMap<pg.Client, Promise<unknown>>()

/** Rows of a statement. A connection that does not answer is given up, and so replaced. */
export async function ask(client: pg.Client, sql: string, values: unknown[] = []): Promise<ResultRow[]> {
  const turn = (turns.get(client) ?? Promise.resolve()).then(() => client.query(sql, values))
  turns.set(
    client,
    turn.catch(() => {}),
  )
  try {
    return (await turn).rows
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) void endConnection(client)
    throw error
  }
}

/** Waits until the connection has ended, and says why. */
export function lost(client: pg.Client): Promise<unknown> {
  return new Promise((resolve) => {
    let reason: unknown = new Error('the connection was closed')
    client.on('error', (error) => {
      reason = error
      void endConnection(client)
    })
    client.on('end', () => resolve(reason))
  })
}
