import { countThroughKills } from '../support/counted-changes.ts'
import { test } from '../support/test.ts'

test('2,000 changes are each counted once, in the transaction that deletes them, though workers are killed at random', {
  timeout: 180_000,
}, async ({ database }) => {
  await countThroughKills(database, { adapter: 'carrying', changes: 2_000, kills: 8 })
})
