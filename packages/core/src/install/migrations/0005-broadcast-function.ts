import { dollarTag, identifier, literal } from '../../quote.js'

/**
 * Sends a change or a message to every worker that listens, by NOTIFY, whose payload has less than 8,000 bytes. A change that is
 * larger goes with the columns of its key alone, and where even those are too large, with none. It never fails for a change.
 */
export const broadcastFunction = (schemaName: string) => {
  const schema = identifier(schemaName)
  const body = dollarTag('function', schemaName)
  const tooLarge = 'octet_length(frame) > 7999'
  return /* sql */ `
  -- key_columns: as project() takes them; null of a message, which goes as a whole or not at all.
  create function ${schema}.broadcast(
    notify_channel text, key_columns text, operation text, context jsonb, old jsonb, new jsonb, changed text[] default null
  ) returns void
  language plpgsql volatile set search_path to pg_catalog, pg_temp
  as ${body}
  declare
    head jsonb;
    keys jsonb;
    frame text;
  begin
    -- a full queue of NOTIFY fails the commit: nobody is told then
    if pg_notification_queue_usage() > 0.5::float8 then
      return;
    end if;
    -- with a number of its own: what is equal within a transaction NOTIFY sends once
    head := jsonb_build_object(
      'id', nextval(${literal(`${schema}.notification_id_seq`)}::regclass),
      'at', (date_part('epoch', clock_timestamp()) * 1000::float8)::bigint,
      'operation', operation
    );
    begin
      frame := (head || jsonb_build_object('context', context, 'old', old, 'new', new, 'changed', changed))::text;
    exception when others then null; -- more than jsonb or a text can hold
    end;
    if coalesce(${tooLarge}, true) then
      if key_columns is null then
        raise exception 'A message is too large to be broadcast: it can have about 7,900 bytes as JSON.'
          using errcode = 'program_limit_exceeded';
      end if;
      head := head || '{"truncated": true}';
      keys := jsonb_build_object(
        'old', case when old is not null then ${schema}.project(old, key_columns) end,
        'new', case when new is not null then ${schema}.project(new, key_columns) end
      );
      frame := (head || keys || jsonb_build_object(
        'context', context,
        'changed', coalesce(changed, case when old is not null and new is not null then ${schema}.differing(old, new) end)
      ))::text;
      if ${tooLarge} then
        frame := (head || keys)::text;
      end if;
      if ${tooLarge} then
        frame := (head || jsonb_build_object(
          'old', case when old is not null then jsonb '{}' end, 'new', case when new is not null then jsonb '{}' end
        ))::text;
      end if;
    end if;
    perform pg_notify(notify_channel, frame);
  end
  ${body};

  revoke all on function ${schema}.broadcast(text, text, text, jsonb, jsonb, jsonb, text[]) from public;
`
}
