import { attempts, isPoison, type WorkOptions, workThroughKills } from './support/ordered-work.ts'
import { historyOf } from './support/row-history.ts'
import { expect, test } from './support/test.ts'

const rows = 200
const changes = 500
const kills = 5

const variants: Record<string, WorkOptions> = {
  'the default': {},
}

test.for(Object.entries(variants))(
  'of 100,000 changes of 200 rows none overtakes another of its row, runs beside it or is left out, though handlers fail and processes are killed: %s',
  { timeout: 120_000 },
  async ([variant, options], { database }) => {
    const begun = performance.now()
    const lives = await workThroughKills(database, { rows, changes, kills, options })
    const seconds = ((performance.now() - begun) / 1000).toFixed(1)
    const { faults, runs, failed, repeated } = historyOf(lives, { rows, changes, attempts })
    console.log(
      `${variant}: ${rows * changes} changes in ${seconds} s: ${runs} attempts, ${failed} failed, ${repeated} repeated after ${lives.length - 2} kills`,
    )
    expect(faults).toEqual([])
    expect(lives.length - 2).toBe(kills)

    const dead = await database.sql(`select (d.new ->> 'id')::int as row, (d.new ->> 'value')::int as change, d.attempts
      from pgpubsub.dead_letter d order by 1, 2`)
    const poison = Array.from({ length: rows }, (_, index) => index + 1).flatMap((row) =>
      Array.from({ length: changes }, (_, index) => ({ row, change: index + 1, attempts })).filter(({ change }) =>
        isPoison(row, change),
      ),
    )
    expect(dead).toEqual(poison)
    expect(dead.length).toBeGreaterThan(rows / 2)
  },
)
