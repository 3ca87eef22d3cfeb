import os from 'node:os'
import pg from 'pg'

/** What a figure depends on beside the code. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  /** Gigabytes. */
  readonly memory: number
  readonly os: string
  readonly node: string
  readonly postgres: string
  /** Settings of the server that decide about its speed. */
  readonly settings: Readonly<Record<string, string>>
}

const told = [
  'fsync',
  'full_page_writes',
  'synchronous_commit',
  'shared_buffers',
  'max_wal_size',
  'max_connections',
  'autovacuum_naptime',
]

export async function describeMachine(serverUrl: string): Promise<Machine> {
  const client = new pg.Client(serverUrl)
  await client.connect()
  try {
    const { rows } = await client.query(
      `select current_setting('server_version') as postgres,
        (select json_object_agg(name, current_setting(name) order by name) from unnest($1::text[]) name) as settings`,
      [told],
    )
    const { postgres, settings } = rows[0]
    const cpus = os.cpus()
    return {
      cpu: cpus[0]?.model.trim() ?? 'unknown',
      cores: cpus.length,
      memory: Math.round(os.totalmem() / 1024 ** 3),
      os: `${os.type()} ${os.release().split('.').slice(0, 2).join('.')}`,
      node: process.version.slice(1),
      postgres: postgres.split(' ')[0],
      settings,
    }
  } finally {
    await client.end()
  }
}
