import type { Change, PubSub, TableListenerOptions } from '@pgpubsub/core'
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

/** The value that the change left in the row. */
export const valueAfter = (change: ItemChange): number | undefined => change.new?.value
