import pg from 'pg'
import { createItems, noPoll, onItem } from './support/items.ts'
import { expect, test, vi } from './support/test.ts'

interface Wire {
  describe(): void
  readonly parsedStatements: Record<string, string>
}

/** Whether the engine's batches have been on it. */
const isEngines = (wire: Wire) => Object.keys(wire.parsedStatements).some((name) => name.startsWith('pgpubsub_'))

test.for([{ batchSize: 1 }, { batchSize: 100 }])(
  'batch after batch of $batchSize, the server is not asked again for the columns of what it has prepared',
  async ({ batchSize }, { database }) => {
    const batches = 30
    const count = batchSize * batches
    await createItems(database)
    const engine = database.core(noPoll)
    const seen: number[] = []
    onItem(engine, { batchSize }, ({ new: item }) => {
      if (item) seen.push(item.id)
    })
    await engine.install()
    await engine.listen()
    const asked = vi.spyOn(pg.Connection.prototype as unknown as Wire, 'describe')
    const store = async (from: number) => {
      asked.mockClear()
      await database.sql(`insert into item select id, id from generate_series(${from}, ${from + count - 1}) id`)
      await database.drained()
      return (asked.mock.contexts as Wire[]).filter(isEngines).length
    }
    try {
      await store(1)
      // a commit that nothing follows has no columns to remember
      expect(await store(count + 1)).toBeLessThan(batches)
    } finally {
      asked.mockRestore()
    }
    expect(seen.sort((a, b) => a - b)).toEqual(Array.from({ length: 2 * count }, (_, index) => index + 1))
  },
)
