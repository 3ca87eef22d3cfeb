import { dollarTag, identifier, literal } from '../../quote.js'

/**
 * The functions behind every trigger. They run with the rights of whoever installed them, so that a role which may
 * write the model's table needs no right here; a trigger function cannot be called directly.
 *
 * Nothing in here may fail the user's write: what jsonb cannot hold is kept as text, a context that is not JSON is kept
 * as text, and the wake-up waits for no lock.
 */
export const captureFunction = (schemaName: string) => {
  const schema = identifier(schemaName)
  const body = dollarTag('function', schemaName)
  return /* sql */ `
  -- The advisory lock that a worker holds, shared, while it sleeps.
  create function ${schema}.asleep_key(listener text) returns bigint
  language sql immutable parallel safe
  return pg_catalog.hashtextextended(${literal(`pgpubsub asleep ${schemaName} `)} || listener, 0);

  -- A row that to_jsonb refuses (json with \\u0000, more than 256 MB), column by column: a value that jsonb cannot hold
  -- becomes its text, or null where even that is too large. The member "$pgpubsub:text" lists the columns it happened to.
  create function ${schema}.row_to_jsonb_by_column(stored anyelement) returns jsonb
  language plpgsql stable set search_path to pg_catalog, pg_temp
  as ${body}
  declare
    column_name text;
    value jsonb;
    result jsonb := '{"$pgpubsub:text": []}';
  begin
    for column_name in
      select a.attname from pg_attribute a join pg_type t on t.typrelid = a.attrelid
      where t.oid = pg_typeof(stored) and a.attnum > 0 and not a.attisdropped
    loop
      begin
        execute format('select to_jsonb(($1).%I)', column_name) into value using stored;
      exception when others then
        begin
          execute format('select to_jsonb(($1).%I::text)', column_name) into value using stored;
          result := jsonb_insert(result, '{$pgpubsub:text,0}', to_jsonb(column_name));
        exception when others then
          value := null;
        end;
      end;
      begin
        result := result || jsonb_build_object(column_name, value);
      exception when others then
        -- more than 256 MB together with the columns before
        result := result || jsonb_build_object(column_name, null);
      end;
    end loop;
    return result;
  end
  ${body};

  -- What of a row is stored: '' all of it, '+{a,b}' those columns, '-{a,b}' all but those.
  create function ${schema}.project(stored jsonb, columns text) returns jsonb
  language plpgsql immutable set search_path to pg_catalog, pg_temp
  as ${body}
  declare
    names constant text[] := substr(columns, 2)::text[];
  begin
    if left(columns, 1) = '-' then
      return stored - names;
    end if;
    return coalesce((select jsonb_object_agg(e.key, e.value) from jsonb_each(stored) e where e.key = any (names || '$pgpubsub:text'::text)), '{}');
  end
  ${body};

  -- The context of the transaction, or {} where none is set. A text that is not a JSON object is kept as it is.
  create function ${schema}.current_context() returns jsonb
  language plpgsql stable set search_path to pg_catalog, pg_temp
  as ${body}
  declare
    setting constant text := current_setting('pgpubsub.notification_context', true);
    context jsonb;
  begin
    if setting is null or setting = '' then
      return '{}';
    end if;
    begin
      context := setting::jsonb;
      if jsonb_typeof(context) = 'object' then
        return context;
      end if;
    exception when others then null;
    end;
    return jsonb_build_object('$pgpubsub:text', setting);
  end
  ${body};

  -- Trigger arguments: listener; columns of the row's key ('' unordered, '{}' no key: the table is one row); what is
  -- stored; when to wake.
  create function ${schema}.capture() returns trigger
  language plpgsql security definer
  set search_path to pg_catalog, pg_temp
  -- the same row must be the same text in every session: keys are hashed from it
  set timezone to 'UTC' set datestyle to 'ISO' set intervalstyle to 'postgres'
  set bytea_output to 'hex' set extra_float_digits to 1
  as ${body}
  declare
    listener constant text := tg_argv[0];
    column_name text;
    row_key bigint;
    old_row jsonb;
    new_row jsonb;
    changed text[];
    asleep bigint;
  begin
    -- A worker takes every id below one it has seen as settled once no transaction that old is running: so the
    -- transaction must be a running one before it takes its id. After a row was written it is.
    if tg_when = 'BEFORE' then
      perform pg_current_xact_id();
    end if;

    if tg_level = 'ROW' then
      begin
        if tg_op <> 'INSERT' then old_row := to_jsonb(old); end if;
        if tg_op <> 'DELETE' then new_row := to_jsonb(new); end if;
      exception when others then
        if tg_op <> 'INSERT' then old_row := ${schema}.row_to_jsonb_by_column(old); end if;
        if tg_op <> 'DELETE' then new_row := ${schema}.row_to_jsonb_by_column(new); end if;
      end;
    end if;

    if tg_argv[1] <> '' then
      row_key := 0;
      foreach column_name in array tg_argv[1]::text[] loop
        row_key := hashtextextended(coalesce(coalesce(old_row, new_row) ->> column_name, ''), row_key);
      end loop;
    end if;

    if tg_argv[2] <> '' and tg_level = 'ROW' then
      if tg_op = 'UPDATE' then
        changed := array(select n.key from jsonb_each(new_row) n where n.value is distinct from old_row -> n.key and n.key <> '$pgpubsub:text');
      end if;
      if old_row is not null then old_row := ${schema}.project(old_row, tg_argv[2]); end if;
      if new_row is not null then new_row := ${schema}.project(new_row, tg_argv[2]); end if;
    end if;

    insert into ${schema}.notification (listener, operation, key, old, new, changed, context)
    values (listener, lower(tg_op collate "C"), row_key, old_row, new_row, changed, ${schema}.current_context());

    -- After the insert, never before: a worker that falls asleep in between sees this transaction writing, and waits.
    if tg_argv[3] = 'always' then
      perform pg_notify(${literal(schemaName)}, listener);
    elsif tg_argv[3] = 'idle' then
      asleep := ${schema}.asleep_key(listener);
      -- Locked and unlocked in one expression: a cancelled statement must not leave the session with the lock.
      if (case when pg_try_advisory_lock(asleep) then not pg_advisory_unlock(asleep) else true end) then
        perform pg_notify(${literal(schemaName)}, listener);
      end if;
    end if;

    if tg_when = 'AFTER' then
      return null;
    end if;
    -- A BEFORE trigger that returned null would cancel the user's write.
    if tg_op = 'DELETE' then
      return old;
    end if;
    return new;
  end
  ${body};

  revoke all on all functions in schema ${schema} from public;
`
}
