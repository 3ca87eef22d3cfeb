/**
 * What running workers tell of themselves, for `status()`: a row for each process and listener. It is written every few
 * seconds and worth nothing after a crash, so it is not logged; an update stays in its page, for no index changes.
 */
export const workerTable = (schema: string) => /* sql */ `
  create unlogged table ${schema}.worker (
    id uuid not null,
    listener text collate "C" not null,
    -- Handled per second, over its last minute.
    rate double precision not null,
    -- Every ready notification of the listener has an id above this: who counts need not begin at the dead ones.
    ready_above bigint not null,
    reported_at timestamptz not null default clock_timestamp(),
    primary key (id, listener)
  ) with (fillfactor = 50);

  revoke all on ${schema}.worker from public;
`
