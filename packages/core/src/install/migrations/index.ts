import { doBlock, identifier } from '../../quote.js'
import { notificationTable } from './0001-notification-table.js'
import { captureSupport } from './0002-capture-support.js'
import { workerTable } from './0003-worker-table.js'
import { publishFunction } from './0004-publish-function.js'
import { broadcastFunction } from './0005-broadcast-function.js'

/** Numbered from 1 in this order. Forward only: what was released is never edited, only followed. */
const migrations: readonly ((schemaName: string) => string)[] = [
  (schemaName) => notificationTable(identifier(schemaName)),
  captureSupport,
  (schemaName) => workerTable(identifier(schemaName)),
  publishFunction,
  broadcastFunction,
]

/** The engine version that this code installs and needs: the number of its newest migration. */
export const engineVersion = migrations.length

/**
 * SQL that brings the engine's schema up to date from wherever it is; applied again it changes nothing.
 * @param from a version that it has at least: what came before is left out
 */
export function engineSql(schemaName: string, from = 0): string {
  const schema = identifier(schemaName)
  const head = `create schema if not exists ${schema};
create table if not exists ${schema}.migration (number integer primary key, applied_at timestamptz not null default now());`
  const steps = migrations.map((migration, index) => onlyOnce(schema, index + 1, migration(schemaName))).slice(from)
  return (from === 0 ? [head, ...steps] : steps).join('\n\n')
}

function onlyOnce(schema: string, number: number, statements: string): string {
  return doBlock(`begin
  if exists (select from ${schema}.migration m where m.number = ${number}) then
    return;
  end if;
${statements}
  insert into ${schema}.migration (number) values (${number});
end`)
}
