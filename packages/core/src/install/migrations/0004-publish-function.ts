import { contextOf, engineIn, unlessMuted } from '../../publish/notification.js'
import { dollarTag, literal } from '../../quote.js'

/**
 * Publishes a message on a channel: stores a notification for each of its listeners, in the caller's transaction. Who may
 * call it needs no right on the tables, and nobody may who was not granted it.
 */
export const publishFunction = (schemaName: string) => {
  const engine = engineIn(schemaName)
  const { schema } = engine
  const asleep = `${schema}.asleep_key(listener.name)`
  const body = dollarTag('function', schemaName)
  return /* sql */ `
  create function ${schema}.publish(channel text, payload jsonb, key text default null, context jsonb default null) returns void
  language plpgsql volatile security definer set search_path to pg_catalog, pg_temp
  as ${body}
  declare
    listener record;
    payload_or_null constant jsonb := coalesce(publish.payload, 'null');
    context_or_setting constant jsonb :=
      case when publish.context is null then ${contextOf(engine)} else ${schema}.context_of(publish.context::text) end;
  begin${unlessMuted(engine, '')}
    for listener in
      select l.name, l.definition ->> 'order' = 'row' as in_order, l.definition ->> 'wake' as wake, l.notify_channel
      from ${schema}.listener l where l.channel = publish.channel
    loop
      if listener.notify_channel is not null then
        perform ${schema}.broadcast(listener.notify_channel, null, 'message', context_or_setting, null, payload_or_null);
        continue;
      end if;
      -- as in the functions behind the triggers
      perform pg_current_xact_id();
      insert into ${schema}.notification (listener, operation, key, context, new)
      values (
        listener.name,
        'message',
        case when listener.in_order then hashtextextended(publish.key, 0) end,
        context_or_setting,
        payload_or_null
      );
      if (case listener.wake
        when 'always' then true
        when 'idle' then case when pg_try_advisory_lock(${asleep}) then not pg_advisory_unlock(${asleep}) else true end
        else false
      end) then
        perform pg_notify(${literal(schemaName)}, listener.name);
      end if;
    end loop;
  end
  ${body};

  revoke all on function ${schema}.publish(text, jsonb, text, jsonb) from public;
`
}
