import { attempts, isPoison, type WorkOptions, workThroughKills } from '../support/ordered-work.ts'
import { historyOf } from '../support/row-history.ts'
import { expect, test } from '../support/test.ts'

interface Variant {
  readonly variant: string
  /** Of each row. */
  readonly changes: number
  readonly kills: number
  readonly options: WorkOptions
}

const rows = 200
const variants: readonly Variant[] = [
  { variant: 'the default', changes: 500, kills: 5, options: {} },
  { variant: 'transactional', changes: 40, kills: 3, options: { transactional: true } },
  // what a killed process had leased waits until that is over
  { variant: 'with a lease', changes: 40, kills: 2, options: { lease: { seconds: 4 } } },
  { variant: 'in lists', changes: 60, kills: 3, options: { batch: { size: 30 } } },
]

test.for(variants)(
  '$variant: of $changes changes of each of 200 rows none overtakes another, runs beside it or is left out, though handlers fail and processes are killed',
  { timeout: 240_000 },
  async ({ variant, changes, kills, options }, { database }) => {
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
    expect(dead).not.toEqual([])
  },
)
