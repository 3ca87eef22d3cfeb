import { PubSub, silentLogger } from '@pgpubsub/core'
import type { Benchmark, Figure, Stage } from './benchmark.ts'
import { milliseconds } from './clock.ts'
import { compare } from './compare.ts'
import { migratedDatabase } from './database.ts'
import { perSecond, rounded } from './statistics.ts'

/** Writes that a listener does not want. */
export const filter: Benchmark = {
  name: 'filter',
  about: 'updates that change none of the columns that a listener watches; against no trigger',
  run: filterFigures,
}

async function filterFigures(stage: Stage): Promise<Figure[]> {
  const rows = stage.size(50_000, 20_000)
  await using database = await migratedDatabase(stage.serverUrl)
  const { pool } = database
  const core = new PubSub({ connectionString: database.url, logger: silentLogger })
  core.onChange({ name: 'filter', table: 'media', operations: ['update'], columns: ['title', 'status'] }, () => {})
  await core.install()
  await core.close()
  const rate = async (trigger: 'enable' | 'disable') => {
    await pool.query('truncate media cascade')
    await pool.query(`insert into media (url, title) select 'a', 'a picture' from generate_series(1, ${rows})`)
    await pool.query(`alter table media ${trigger} trigger user; analyze media`)
    await pool.query('checkpoint')
    const took = await milliseconds(() => pool.query(`update media set url = 'file:///media/1.jpg', title = title`))
    const [stored] = (await pool.query('select exists (select from pgpubsub.notification) as any')).rows
    if (stored.any) throw new Error('A notification was stored of an update that the listener does not watch.')
    return perSecond(rows, took)
  }
  await rate('enable')
  // the two differ by little: one round would tell more of the machine than of the filter
  const patient = { ...stage, rounds: stage.rounds * 3 }
  const { ours, ratio } = await compare(
    patient,
    { ours: () => rate('enable'), theirs: () => rate('disable') },
    'rows/s',
  )
  const against = 'the same table without a trigger'
  return [{ name: 'filter', value: rounded(ours), unit: 'rows/s', against, ratio: rounded(ratio, 3), goal: 0.95 }]
}
