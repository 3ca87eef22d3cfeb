import type { Change, PubSub, TableListenerOptions } from '@pgpubsub/core'
import { type Gate, gate } from './gate.ts'
import type { TestDatabase } from './test.ts'

/** A row of the table that {@link createItems} makes, as JSON has it. */
export interface Item {
  readonly id: number
  readonly value: number
}

export type ItemChange = Change<Item>

/** For tests in which nothing may be found by the slow poll. */
export const noPoll = { pollIntervalMs: 600_000 }

/** The plainest table there is. */
export async function createItems(database: TestDatabase, columns = 'id int primary key, value int'): Promise<void> {
  await database.sql(`create table item (${columns})`)
}

/** Listens to the items of {@link createItems}, without Prisma. */
export function onItem(
  engine: PubSub,
  options: Partial<TableListenerOptions>,
  handler: (change: ItemChange) => unknown,
): void {
  engine.onChange({ table: 'item', name: 'items', ...options }, handler as never)
}

/** Listens to the items; the handler tells when it has begun, and ends when the test lets it. */
export function holdItems(engine: PubSub, options: Partial<TableListenerOptions> = {}): { begun: Gate; held: Gate } {
  const gates = { begun: gate(), held: gate() }
  onItem(engine, options, async () => {
    gates.begun.open()
    await gates.held.opened
  })
  return gates
}

/** The value that the change left in the row. */
export const valueAfter = (change: ItemChange): number | undefined => change.new?.value
