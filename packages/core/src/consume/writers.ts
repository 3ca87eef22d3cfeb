import { identifier, literal } from '../quote.js'

/** Transactions that may bring notifications: by their virtual ids, which are unique among all that run. */
export type Writers = ReadonlySet<string>

/**
 * Who has a write lock on the notifications. Workers lock notifications (RowShareLock) before they delete them
 * (RowExclusiveLock), and writers only insert: so a transaction that holds both is a worker's, and nothing new comes of it.
 */
export const currentWriters = (schemaName: string) => /* sql */ `
  select l.virtualtransaction
  from pg_locks l
  where l.locktype = 'relation' and l.relation = ${literal(identifier(schemaName, 'notification'))}::regclass
    and l.database = (select d.oid from pg_database d where d.datname = current_database())
    and l.mode in ('RowExclusiveLock', 'RowShareLock') and l.granted
  group by l.virtualtransaction
  having not bool_or(l.mode = 'RowShareLock')
`
