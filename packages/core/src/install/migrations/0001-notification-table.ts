/**
 * The tables of the engine. A notification is written once by a trigger, claimed, deleted: the table is a queue, so it
 * is vacuumed by absolute numbers of dead rows and without delay.
 *
 * A write pays for one index. It serves claims (a range of ready ones), settling, and the replica identity that a
 * publication for all tables asks for; it grows at one end for each listener, and no other index could be taken for it
 * by a planner whose statistics are old. What waits for a retry is apart, in a range of its own and in two partial
 * indexes that only failures pay for.
 */
export const notificationTable = (schema: string) => /* sql */ `
  create table ${schema}.notification (
    id bigint generated always as identity,
    listener text collate "C" not null,
    operation text collate "C" not null,
    -- Hash of the row's identity: changes of one key are handled in the order of their ids. Null: in any order.
    key bigint,
    -- json and not jsonb: what is written once and read once is not worth taking apart and putting together again.
    old json,
    new json,
    -- Names of the changed columns, where old and new do not hold them all.
    changed text[],
    -- Of the model's shape by which old and new were stored.
    version text collate "C",
    context jsonb not null,
    attempts integer not null default 0,
    -- It has failed, and waits until run_at for its next attempt. Otherwise it is ready since it was stored.
    waiting boolean not null default false,
    run_at timestamptz,
    -- Its key while it waits: a column of its own, so that no index but the one on it can answer for it.
    waiting_key bigint,
    -- It was in flight when its worker died, and is handled alone from then on: it may be what killed it.
    alone boolean not null default false,
    -- Whose it is until run_at, while its handler runs outside of a transaction; another worker may take it then.
    lease uuid,
    last_error text,
    created_at timestamptz not null default clock_timestamp(),
    primary key (listener, waiting, id)
  ) with (
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = 10000,
    autovacuum_vacuum_insert_scale_factor = 0,
    autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_threshold = 10000,
    autovacuum_analyze_scale_factor = 0,
    toast.autovacuum_vacuum_threshold = 1000,
    toast.autovacuum_vacuum_scale_factor = 0,
    toast.autovacuum_vacuum_cost_delay = 0
  );
  create index notification_due on ${schema}.notification (listener, run_at) where run_at is not null;
  -- The key first: a claim looks up a thousand of them, and to compare names costs three times as much as numbers.
  create index notification_waiting_key on ${schema}.notification (waiting_key, listener, id)
    where waiting_key is not null;

  create table ${schema}.listener (
    name text collate "C" primary key,
    -- What it listens to: a table, or a channel.
    table_schema text,
    table_name text,
    channel text collate "C",
    -- The NOTIFY channel of its broadcasts; null where what it is told is stored.
    notify_channel text collate "C",
    definition jsonb not null,
    hash text not null,
    paused boolean not null default false,
    installed_at timestamptz not null default now()
  );

  create table ${schema}.dead_letter (
    id bigint primary key,
    listener text collate "C" not null,
    operation text collate "C" not null,
    key bigint,
    old json,
    new json,
    changed text[],
    version text collate "C",
    context jsonb not null,
    attempts integer not null,
    last_error text,
    created_at timestamptz not null,
    died_at timestamptz not null default clock_timestamp()
  );
  create index dead_letter_listener on ${schema}.dead_letter (listener, id);

  revoke all on all tables in schema ${schema} from public;
`
