/**
 * The tables of the engine. A notification is written once by a trigger, claimed, deleted: the table is a queue, so it
 * is vacuumed by absolute numbers of dead rows and without delay, and no index is led by a value that arrives in random
 * order.
 */
export const notificationTable = (schema: string) => /* sql */ `
  create table ${schema}.notification (
    id bigint generated always as identity primary key,
    listener text collate "C" not null,
    operation text collate "C" not null,
    -- Hash of the row's identity: changes of one key are handled in the order of their ids. Null: in any order.
    key bigint,
    old jsonb,
    new jsonb,
    -- Names of the changed columns, where old and new do not hold them all.
    changed text[],
    context jsonb not null,
    attempts integer not null default 0,
    -- Null: ready since it was stored. Otherwise it has failed and waits until then for its next attempt.
    run_at timestamptz,
    last_error text,
    created_at timestamptz not null default clock_timestamp()
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
  create index notification_ready on ${schema}.notification (listener, id) where run_at is null;
  create index notification_waiting on ${schema}.notification (listener, run_at) where run_at is not null;
  create index notification_waiting_key on ${schema}.notification (listener, key, id) where run_at is not null;

  create table ${schema}.listener (
    name text collate "C" primary key,
    table_schema text not null,
    table_name text not null,
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
    old jsonb,
    new jsonb,
    changed text[],
    context jsonb not null,
    attempts integer not null,
    last_error text,
    created_at timestamptz not null,
    died_at timestamptz not null default clock_timestamp()
  );
  create index dead_letter_listener on ${schema}.dead_letter (listener, id);

  revoke all on all tables in schema ${schema} from public;
`
