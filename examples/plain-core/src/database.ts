import { carryContext } from '@pgpubsub/core'
import pg from 'pg'

export const connectionString = process.env.DATABASE_URL ?? 'postgresql://localhost/postgres'

/** The program's own pool: every write in it brings the context of its request along. */
export const pool = carryContext(new pg.Pool({ connectionString }))

/** The statements of `work` in one transaction. */
export async function inTransaction<T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const result = await work(client)
    await client.query('commit')
    return result
  } catch (error) {
    await client.query('rollback')
    throw error
  } finally {
    client.release()
  }
}

export const tables = `
  create table product (name text primary key, stock int not null);
  create table purchase (id int generated always as identity primary key, product text not null, quantity int not null);
  insert into product values ('lamp', 10)`
