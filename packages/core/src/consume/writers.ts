import { identifier, literal } from '../quote.js'

/** Transactions that may bring notifications: by their virtual ids, which are unique among all that run. */
export type Writers = ReadonlySet<string>

const writerKey = (schemaName: string) =>
  `hashtextextended(${literal(`pgpubsub writer ${schemaName}`)}::text, 0::bigint)`

/** A column of a select: the worker's transaction, which handlers are going to write in, says so by a lock. */
export const markAsWriter = (schemaName: string) => `pg_advisory_xact_lock_shared(${writerKey(schemaName)})::text`

/**
 * Who has a write lock on the notifications. Workers lock notifications (RowShareLock) before they delete them
 * (RowExclusiveLock), and writers only insert: so a transaction that holds both is a worker's, and nothing new comes of
 * it, unless it has said that its handlers write.
 */
export const currentWriters = (schemaName: string) => /* sql */ `
  select l.virtualtransaction
  from pg_locks l
  where l.database = (select d.oid from pg_database d where d.datname = current_database()) and l.granted
    and (
      l.locktype = 'relation' and l.relation = ${literal(identifier(schemaName, 'notification'))}::regclass::oid
        and l.mode in ('RowExclusiveLock', 'RowShareLock')
      or l.locktype = 'advisory' and l.objsubid = 1
        and l.classid::bigint << 32 | l.objid::bigint = ${writerKey(schemaName)}
    )
  group by l.virtualtransaction
  having bool_or(l.mode = 'RowExclusiveLock')
    and (not bool_or(l.mode = 'RowShareLock') or bool_or(l.locktype = 'advisory'))
`
