import { dollarTag, identifier, literal } from '../../quote.js'

/** What the functions behind the triggers call (`publish/capture.ts` writes them, one for each trigger). */
export const captureSupport = (schemaName: string) => {
  const schema = identifier(schemaName)
  const body = dollarTag('function', schemaName)
  return /* sql */ `
  -- The advisory lock that a worker holds, shared, while it sleeps.
  create function ${schema}.asleep_key(listener text) returns bigint
  language sql immutable parallel safe
  return pg_catalog.hashtextextended(${literal(`pgpubsub asleep ${schemaName} `)} || listener, 0);

  -- A row that to_jsonb refuses (json with \\u0000, more than 256 MB), or row_to_json (more than 1 GB), column by column: a value that jsonb cannot hold
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
    return case when result -> '$pgpubsub:text' = '[]' then result - '$pgpubsub:text' else result end;
  end
  ${body};

  -- The key of a row of which a column may have been renamed or dropped since: as publish/notification.ts has it.
  create function ${schema}.key_by_column(stored anyelement, columns text[]) returns bigint
  language plpgsql stable set search_path to pg_catalog, pg_temp
  as ${body}
  declare
    column_name text;
    value text;
    result bigint := 0;
  begin
    foreach column_name in array columns loop
      begin
        execute format('select concat(($1).%I)', column_name) into value using stored;
      exception when others then
        value := '';
      end;
      result := hashtextextended(value, result);
    end loop;
    return result;
  end
  ${body};

  -- Nothing is stored of what the rest of the transaction writes. Only roles that may execute this can mute, by it or by the
  -- setting itself: a role that may merely write a table must not hide that from who listens.
  create function ${schema}.mute() returns void
  language sql set search_path to pg_catalog, pg_temp
  as ${body}
    select set_config('pgpubsub.notification_context', 'muted', true)
  ${body};

  create function ${schema}.may_mute() returns boolean
  language plpgsql stable set search_path to pg_catalog, pg_temp
  as ${body}
  begin
    -- the role of the statement: here, current_user is whoever installed the trigger
    return has_function_privilege(coalesce(nullif(current_setting('role'), 'none'), session_user),
      ${literal(`${schema}.mute()`)}, 'execute');
  exception when others then
    return false;
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

  -- A context as it is stored. A text that is not a JSON object is kept as it is.
  create function ${schema}.context_of(setting text) returns jsonb
  language plpgsql immutable set search_path to pg_catalog, pg_temp
  as ${body}
  declare
    context jsonb;
  begin
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

  -- Names of the columns whose values differ.
  create function ${schema}.differing(before jsonb, after jsonb) returns text[]
  language sql immutable set search_path to pg_catalog, pg_temp
  as ${body}
    select array(
      select n.key from jsonb_each(after) n
      where n.value is distinct from before -> n.key and n.key <> '$pgpubsub:text'
    )
  ${body};

  revoke all on all functions in schema ${schema} from public;
`
}
