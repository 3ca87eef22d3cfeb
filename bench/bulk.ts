import { PubSub, silentLogger } from '@pgpubsub/core'
import type { Figure, Stage } from './benchmark.ts'
import { milliseconds } from './clock.ts'
import { compare } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { rounded } from './statistics.ts'

const statements = {
  insert: (rows: number) =>
    `insert into media (url, title) select 'file:///media/' || g || '.jpg', 'a picture' from generate_series(1, ${rows}) g`,
  update: () => `update media set title = title || '!'`,
  delete: () => 'delete from media',
} as const

type Operation = keyof typeof statements

/** One statement that writes many rows, with a trigger of that level and without one. */
export async function bulkFigures(
  level: 'row' | 'statement',
  goals: Partial<Record<Operation, number>>,
  stage: Stage,
): Promise<Figure[]> {
  const rows = stage.size(50_000, 10_000)
  const figures: Figure[] = []
  for (const operation of ['insert', 'update', 'delete'] as const) {
    await using database = await migratedDatabase(stage.serverUrl)
    await installOn(database, operation, level)
    const time = (trigger: 'enable' | 'disable') => timeOf(database, operation, rows, trigger)
    await time('enable')
    const { ours, ratio } = await compare(stage, { ours: () => time('enable'), theirs: () => time('disable') }, 'ms')
    figures.push({
      name: `bulk-${level}-${operation}`,
      value: rounded(ours),
      unit: 'ms',
      against: 'the same statement without a trigger',
      ratio: rounded(ratio, 2),
      ...(goals[operation] !== undefined && { goal: goals[operation] }),
    })
  }
  return figures
}

async function installOn(database: Database, operation: Operation, level: 'row' | 'statement'): Promise<void> {
  const core = new PubSub({ connectionString: database.url, logger: silentLogger })
  core.onChange({ name: 'bulk', table: 'media', operations: [operation], level }, () => {})
  await core.install()
  await core.close()
}

/** Each begins with a fresh table, and with no pages to be written that others have left. */
async function timeOf({ pool }: Database, operation: Operation, rows: number, trigger: string): Promise<number> {
  await pool.query('alter table media disable trigger user; truncate media cascade; truncate pgpubsub.notification')
  if (operation !== 'insert') await pool.query(statements.insert(rows))
  await pool.query(`alter table media ${trigger} trigger user; analyze media`)
  await pool.query('checkpoint')
  const took = await milliseconds(() => pool.query(statements[operation](rows)))
  const [stored] = (await pool.query('select count(*)::int as count from pgpubsub.notification')).rows
  const expected = trigger === 'enable' ? rows : 0
  if (stored.count !== expected) throw new Error(`${stored.count} notifications were stored instead of ${expected}.`)
  return took
}
