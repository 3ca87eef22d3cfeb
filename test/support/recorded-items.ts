import { fileURLToPath } from 'node:url'
import { createItems } from './items.ts'
import type { TestDatabase } from './test.ts'

/** The module whose handlers write down what they have handled. */
export const recordingModule = fileURLToPath(new URL('../fixtures/recording-items.ts', import.meta.url))

export async function createRecordedItems(database: TestDatabase): Promise<void> {
  await createItems(database)
  await database.sql(
    'create table handled (id int, pid int); create table held (id int, pid int); create table released ()',
  )
}

/** Items of which each takes `value` milliseconds (-1: until {@link release}, -2: for ever, with the thread); every `held`th one until {@link release}. */
export const insertItems = (database: TestDatabase, first: number, last: number, value: number, held = last + 1) =>
  database.sql(
    `insert into item select id, case when id % $4::int = 0 then -1 else $3 end
     from generate_series($1::int, $2::int) id`,
    [first, last, value, held],
  )

/** Processes that hold items until {@link release}. */
export async function holdingPids(database: TestDatabase): Promise<number[]> {
  return (await database.sql('select distinct pid from held')).map((row) => row.pid)
}

export const release = (database: TestDatabase) => database.sql('insert into released default values')

/** Ids in the order in which they were handled. */
export async function handledIds(database: TestDatabase): Promise<number[]> {
  return (await database.sql('select id from handled')).map((row) => row.id)
}

/** Processes that have handled something. */
export async function handlingPids(database: TestDatabase): Promise<number[]> {
  return (await database.sql('select distinct pid from handled')).map((row) => row.pid)
}
