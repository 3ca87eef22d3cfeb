import { invalid } from '../check.js'
import type { Connection, Pool, ResultRow } from '../database.js'
import { PubSubError } from '../errors.js'
import { requireCurrentEngine } from '../install/current-engine.js'
import { listenerNotInstalled } from '../install/not-installed.js'
import { onSafePath } from '../install/safe-path.js'
import { identifier } from '../quote.js'
import { comparisonsOf } from './condition.js'
import { runOutsideScopes } from './context.js'
import { engineIn } from './notification.js'
import { ReplayError } from './replay-error.js'
import type { ReplayKey, ReplayResult, ResolvedReplay } from './replay-options.js'
import { lockWait, nextRows, oneRow, type ReplaySource, replaySettings, wakeStatement } from './replay-statement.js'
import { readTable, type Table } from './table.js'
import { withDeclaredKey } from './trigger.js'

export interface ReplaySurroundings {
  readonly schema: string
  readonly pool: Pool
  /** Waits while the listener has too much stored, before so many more are. */
  readonly capacityFor: (writes: number) => Promise<void>
}

/** The rows of a listener's table, as changes for it: batches in the order of the key, each in a transaction of its own. */
export async function replay(surroundings: ReplaySurroundings, options: ResolvedReplay): Promise<ReplayResult> {
  const { pool, schema } = surroundings
  await requireCurrentEngine(pool, schema)
  return new Replay(surroundings, options, await prepare(pool, schema, options)).run()
}

interface Prepared {
  readonly source: ReplaySource
  readonly after: readonly string[] | null
  readonly estimated: number | null
}

class Replay {
  readonly #surroundings: ReplaySurroundings
  readonly #options: ResolvedReplay
  readonly #prepared: Prepared
  #stored = 0
  /** The texts of the last key. */
  #last: readonly string[] | null

  constructor(surroundings: ReplaySurroundings, options: ResolvedReplay, prepared: Prepared) {
    this.#surroundings = surroundings
    this.#options = options
    this.#prepared = prepared
    this.#last = prepared.after
  }

  async run(): Promise<ReplayResult> {
    const { signal, onProgress } = this.#options
    const { estimated } = this.#prepared
    for (let done = false; ; ) {
      if (done || signal?.aborted) return { ...this.#soFar(), done }
      try {
        done = await this.#batch()
      } catch (error) {
        if (signal?.aborted && error === signal.reason) continue
        throw new ReplayError(this.#options.listener.definition.name, this.#soFar(), error)
      }
      onProgress?.({ ...this.#soFar(), estimated })
    }
  }

  /** @returns whether it was the last */
  async #batch(): Promise<boolean> {
    const { context, batchSize, listener } = this.#options
    const { highWaterMark } = listener.consume
    const size = Math.min(batchSize, highWaterMark ?? batchSize)
    if (highWaterMark !== null) await this.#surroundings.capacityFor(size)
    const sql = (source: ReplaySource) => nextRows(source, this.#last !== null)
    const page = await this.#store(sql, [context, String(size), ...(this.#last ?? [])])
    for (const key of JSON.parse(page.passed_over)) await this.#storeOne(key)
    this.#last = JSON.parse(page.last) ?? this.#last
    return page.found < size
  }

  async #storeOne(key: readonly string[]): Promise<void> {
    for (;;) {
      this.#options.signal?.throwIfAborted()
      try {
        return void (await this.#store(oneRow, [this.#options.context, null, ...key], lockWait))
      } catch (error) {
        if (codeOf(error) !== lockNotAvailable) throw error
      }
    }
  }

  async #store(sql: (source: ReplaySource) => string, values: unknown[], settings = ''): Promise<ResultRow> {
    const { source } = this.#prepared
    const store = (source: ReplaySource) => (db: Connection) => this.#storeIn(db, source, sql(source), values, settings)
    const inTransaction = (source: ReplaySource) =>
      runOutsideScopes(() => onSafePath(this.#surroundings.pool, store(source)))
    const row = await inTransaction(source).catch((error: unknown) => {
      if (!/^(22|54)/.test(codeOf(error))) throw error
      return inTransaction({ ...source, byColumn: true })
    })
    this.#stored += row.stored
    return row
  }

  async #storeIn(db: Connection, source: ReplaySource, sql: string, values: unknown[], settings: string) {
    await db.query(`${replaySettings}; ${settings}`)
    const { rows } = await db.query(sql, values)
    const wake = wakeStatement(source)
    if (wake !== null && rows[0].stored > 0) await db.query(wake)
    return rows[0]
  }

  #soFar(): { stored: number; last: ReplayKey | null } {
    const { listener } = this.#options
    const { table } = this.#prepared.source
    const names = table.key.map((column) => listener.fieldName(column) ?? column)
    const last = this.#last && Object.fromEntries(names.map((name, index) => [name, this.#last?.[index] as string]))
    return { stored: this.#stored, last }
  }
}

const lockNotAvailable = '55P03'

const codeOf = (error: unknown): string => (error as { code?: string } | null)?.code ?? ''

// the sum: a partitioned table has no rows of its own
const look = (schema: string) => /* sql */ `
  select exists (select from ${schema}.listener l where l.name = $1) as installed, (
      select case when min(c.reltuples) >= 0 then sum(c.reltuples)::float8 end
      from pg_class c
      where c.relkind = 'r' and c.oid in (
        select $2::regclass union all
        select p.relid from pg_partition_tree($2::regclass) p
      )
    ) as estimated
`

function prepare(pool: Pool, schema: string, options: ResolvedReplay): Promise<Prepared> {
  const { listener, condition, after } = options
  const { definition } = listener
  return runOutsideScopes(() =>
    onSafePath(pool, async (db) => {
      const found = await readTable(db, definition.table, definition.name)
      const { rows } = await db.query(look(identifier(schema)), [definition.name, identifier(found.schema, found.name)])
      if (!rows[0].installed) throw listenerNotInstalled(schema, definition.name, true)
      const table = withDeclaredKey(definition, found)
      checkTable(table, options)
      const isWhole = condition === null && after === null
      return {
        source: { engine: engineIn(schema), definition, table, condition, byColumn: false },
        after: after && keyTexts(table, after),
        estimated: isWhole ? rows[0].estimated : null,
      }
    }),
  )
}

function checkTable(table: Table, { condition, listener }: ResolvedReplay): void {
  const { source } = listener.replay
  if (table.key.length === 0) {
    throw invalid(
      `${source} has no key, so that its rows have no order in which to replay them: give its table a primary key.`,
    )
  }
  const unknown = comparisonsOf(condition ?? { all: [] }).find(
    ({ column }) => !table.columns.some(({ name }) => name === column),
  )
  if (!unknown) return
  throw new PubSubError(
    'PGPUBSUB_UNKNOWN_COLUMN',
    `where of replay names the column "${unknown.column}", which the table "${table.schema}"."${table.name}" does not have.`,
  )
}

function keyTexts({ key }: Table, after: ReadonlyMap<string, string>): string[] {
  const texts = key.flatMap((column) => after.get(column) ?? [])
  if (texts.length === key.length && after.size === key.length) return texts
  throw invalid(`after of replay must have the fields of the key, and no others: the columns ${key.join(', ')}.`)
}
