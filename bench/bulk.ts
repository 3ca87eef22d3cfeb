import { PubSub, silentLogger } from '@pgpubsub/core'
import type { Figure, Stage } from './benchmark.ts'
import { milliseconds } from './clock.ts'
import { type Comparison, compareAll } from './compare.ts'
import { type Database, migratedDatabase } from './database.ts'
import { addBareTrigger, takeBare } from './floors/bare-trigger.ts'
import { rounded } from './statistics.ts'
import { expectStored } from './stored.ts'

const statements = {
  insert: (rows: number) =>
    `insert into media (url, title) select 'file:///media/' || g || '.jpg', 'a picture' from generate_series(1, ${rows}) g`,
  update: () => `update media set title = title || '!'`,
  delete: () => 'delete from media',
} as const

type Operation = keyof typeof statements
type Level = 'row' | 'statement'

/** Which trigger fires: that of the listener, the bare one, or none. */
type Firing = 'listener' | 'bare' | 'none'

/**
 * One statement that writes many rows, with a listener of that level and without any trigger; and, where something is
 * promised, with the bare trigger that shows how much could be.
 */
export async function bulkFigures(
  level: Level,
  goals: Partial<Record<Operation, number>>,
  stage: Stage,
): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const operation of ['insert', 'update', 'delete'] as const) {
    figures.push(...(await figuresOf(level, operation, goals[operation], stage)))
  }
  return figures
}

async function figuresOf(level: Level, operation: Operation, goal: number | undefined, stage: Stage) {
  const rows = stage.size(50_000, 10_000)
  await using database = await migratedDatabase(stage.serverUrl)
  await installOn(database, operation, level)
  const time = (firing: Firing) => timeOf(database, operation, rows, firing)
  await time('listener')
  const sides = [() => time('listener')]
  if (goal !== undefined) {
    await addBareTrigger(database, operation, level)
    sides.push(() => time('bare'))
  }
  const [ours, bare] = await compareAll(stage, sides, () => time('none'), 'ms')
  const told = (name: string, { ours: took, ratio }: Comparison): Figure => {
    const against = 'the same statement without a trigger'
    return { name: `bulk-${level}-${name}`, value: rounded(took), unit: 'ms', against, ratio: rounded(ratio, 2) }
  }
  const ofListener = { ...told(operation, ours as Comparison), goal }
  return bare ? [ofListener, told(`bare-${operation}`, bare)] : [ofListener]
}

async function installOn(database: Database, operation: Operation, level: Level): Promise<void> {
  const core = new PubSub({ connectionString: database.url, logger: silentLogger })
  core.onChange({ name: 'bulk', table: 'media', operations: [operation], level }, () => {})
  await core.install()
  await core.close()
}

/** Each begins with fresh tables, and with no pages to be written that others have left. */
async function timeOf(database: Database, operation: Operation, rows: number, firing: Firing): Promise<number> {
  const { pool } = database
  await pool.query('alter table media disable trigger user; truncate media cascade; truncate pgpubsub.notification')
  if (operation !== 'insert') await pool.query(statements.insert(rows))
  const trigger = { listener: `~pgpubsub ${operation} bulk`, bare: 'bare', none: null }[firing]
  if (trigger !== null) await pool.query(`alter table media enable trigger "${trigger}"`)
  await pool.query('analyze media')
  await pool.query('checkpoint')
  const took = await milliseconds(() => pool.query(statements[operation](rows)))
  await expectStored(database, firing === 'listener' ? rows : 0)
  if (firing === 'bare') await takeBare(database, rows)
  return took
}
