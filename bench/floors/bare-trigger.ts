import type { Database } from '../database.ts'
import { expectStoredIn } from '../stored.ts'

type Operation = 'insert' | 'update' | 'delete'

/** What of the row is stored, as ours does it. */
const rowsOf = { insert: ['new'], update: ['old', 'new'], delete: ['old'] } as const

/**
 * The floor of every trigger that stores rows as JSON: the trigger `bare` on `media`, which inserts constants and the row
 * into a table of its own, and does nothing else. It asks for no context, hashes no key, wakes nobody, and fails the write
 * where JSON cannot hold the row. Of statements that update it could not tell which old row belongs to which new one.
 */
export async function addBareTrigger(
  { pool }: Database,
  operation: Operation,
  level: 'row' | 'statement' = 'row',
): Promise<void> {
  const rows = rowsOf[operation]
  const values = `'bare', '${operation}', 0, '{}', ${rows.map((row) => `row_to_json(${level === 'row' ? row : 'r'})`)}`
  const stored = level === 'row' ? `values (${values})` : `select ${values} from changed_rows r`
  const referencing = level === 'row' ? '' : `referencing ${rows} table as changed_rows`
  await pool.query(`${likeNotification}
    create function bare() returns trigger language plpgsql as $$
    begin
      insert into bare_notification (listener, operation, key, context, ${rows}) ${stored};
      return null;
    end $$;
    create trigger bare after ${operation} on media ${referencing} for each ${level} execute function bare()`)
}

/** Columns, defaults and indexes are copied by `like`, storage parameters are not. */
const likeNotification = `
  create table bare_notification (like pgpubsub.notification including all);
  do $$
  begin
    execute (
      select 'alter table bare_notification set (' || string_agg(option, ', ') || ')'
      from pg_class notification left join pg_class toast on toast.oid = notification.reltoastrelid,
        unnest(notification.reloptions || array(select 'toast.' || option from unnest(toast.reloptions) option)) option
      where notification.oid = 'pgpubsub.notification'::regclass
    );
  end $$;`

/** Empties it. @throws where not exactly so many rows were stored */
export async function takeBare(database: Database, expected: number): Promise<void> {
  await expectStoredIn(database, 'bare_notification', expected)
  await database.pool.query('truncate bare_notification')
}
