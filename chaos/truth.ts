import type pg from 'pg'

/** A committed change, as a trigger of the test's own has written it down in the same transaction. */
export interface TrueChange {
  readonly version: string
  readonly row: number
  /** The version before; null on insert. */
  readonly before: string | null
  /** The writer's mark on the row: which transaction wrote it. */
  readonly mark: string
  /** The mark in the context that was set for the write; '' where none was. */
  readonly contextMark: string
  /** Microseconds since 1970. */
  readonly committedAt: number
}

/*
 * Every change of a row gives it a version of its own. The order of the audit's ids is the order of the commits of each
 * row: its writers queue on the row's lock, and AFTER triggers fire while it is held.
 */
const auditTables = /* sql */ `
  create schema chaos;
  create table chaos.audit (
    id bigint generated always as identity primary key,
    row_id integer not null,
    version text not null unique,
    before text,
    mark text not null,
    context_mark text not null
  );
  create function chaos.new_version() returns trigger language plpgsql as $$
  begin
    new.title := gen_random_uuid();
    return new;
  end $$;
  create function chaos.write_audit() returns trigger language plpgsql as $$
  begin
    insert into chaos.audit (row_id, version, before, mark, context_mark) values (
      coalesce(new.id, old.id), coalesce(new.title, 'deleted ' || old.title), old.title, coalesce(new.url, ''),
      coalesce(nullif(current_setting('pgpubsub.notification_context', true), '')::jsonb ->> 'mark', '')
    );
    return null;
  end $$;
  create trigger new_version before insert or update on media for each row execute function chaos.new_version();
  create trigger write_audit after insert or update or delete on media for each row execute function chaos.write_audit();
  create table chaos.effect (listener text not null, version text not null, worker text not null);
`

/** Creates the audit, and the rows that many writers share. */
export async function beginAudit(pool: pg.Pool, sharedRows: number): Promise<void> {
  await pool.query(auditTables)
  await pool.query(`select setval('media_id_seq', $1)`, [sharedRows])
  await pool.query(`insert into media (id, url) select n, 'first' from generate_series(1, $1::int) n`, [sharedRows])
}

/** All that was committed, the changes of each row in the order of their commits. */
export async function readTruth(pool: pg.Pool): Promise<TrueChange[]> {
  const { rows } = await pool.query(`select version, row_id, before, mark, context_mark,
    (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000000)::float8 as committed_at from chaos.audit order by id`)
  return rows.map((row) => ({
    version: row.version,
    row: row.row_id,
    before: row.before,
    mark: row.mark,
    contextMark: row.context_mark,
    committedAt: row.committed_at,
  }))
}

/** How often each effect was written in a handler's own transaction. */
export async function readEffects(pool: pg.Pool): Promise<Map<string, number>> {
  const { rows } = await pool.query(
    'select listener, version, count(*)::int as times from chaos.effect group by listener, version',
  )
  return new Map(rows.map(({ listener, version, times }) => [`${listener} ${version}`, times]))
}
