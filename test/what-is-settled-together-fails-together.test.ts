import { createItems, onItem } from './support/items.ts'
import { expect, test, vi } from './support/test.ts'

/** Refuses the third deletion, at once or at the commit: a sequence is not rolled back. */
const refusing = (kind: string, timing: string) => `
  create sequence deletions;
  create function refuse() returns trigger language plpgsql as $$ begin
    if nextval('deletions') = 3 then raise 'the third is refused'; end if;
    return null;
  end $$;
  create ${kind} refusing after delete on pgpubsub.notification ${timing} for each row execute function refuse()`

const refusals = {
  deletion: refusing('trigger', ''),
  commit: refusing('constraint trigger', 'deferrable initially deferred'),
}

test.for([
  ['deletion', 1],
  ['commit', 1],
  ['deletion', 100],
  ['commit', 100],
] as const)(
  'a refused %s repeats its batch and no other, and the claim behind it takes nothing (batchSize %i)',
  async ([refused, batchSize], { database }) => {
    await createItems(database)
    const engine = database.core()
    const handled: number[] = []
    const errors: string[] = []
    const told: bigint[] = []
    onItem(engine, { batchSize, concurrency: 1 }, ({ new: item }) => void handled.push(item?.id ?? 0))
    engine.on('error', ({ error }) => errors.push((error as Error).message))
    engine.on('handled', ({ id }) => told.push(id))
    await engine.install()
    await database.sql(refusals[refused])
    await database.sql('insert into item select n, n from generate_series(1, 6) n')

    await engine.listen()
    await vi.waitFor(async () => expect(await database.notifications()).toEqual([]))

    expect(errors).toEqual(['the third is refused'])
    const repeated = batchSize === 1 ? [3] : [1, 2, 3, 4, 5, 6]
    expect(handled.sort()).toEqual([1, 2, 3, 4, 5, 6, ...repeated].sort())
    await vi.waitFor(() => expect(new Set(told).size).toBe(6))
    expect(told).toHaveLength(6)
  },
)
