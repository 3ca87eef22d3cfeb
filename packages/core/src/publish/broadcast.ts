import type { ListenerDefinition } from '../listener.js'
import { arrayText, literal } from '../quote.js'
import {
  contextOf,
  type Engine,
  type RowOperation,
  type StoredNamed,
  storedNames,
  storedValues,
} from './notification.js'
import { notifyChannel } from './notify-channel.js'
import type { Table } from './table.js'

/** Sends one change to every worker that listens, in place of storing it: a statement of PL/pgSQL. */
export function broadcastChange(
  engine: Engine,
  definition: ListenerDefinition,
  table: Table,
  operation: RowOperation,
  named: StoredNamed,
): string {
  const values = storedValues(engine, definition, table, operation, named)
  const byName = new Map(
    storedNames(definition, operation)
      .split(', ')
      .map((name, index) => [name, values[index]]),
  )
  const given = ['operation', 'context', 'old', 'new', 'changed'].map((name) => byName.get(name) ?? 'null')
  return send(engine, definition, table.key, given)
}

/** The same of a truncated table. */
export const broadcastTruncation = (engine: Engine, definition: ListenerDefinition) =>
  send(engine, definition, [], [`'truncate'`, contextOf(engine), 'null', 'null'])

function send(
  { name, schema }: Engine,
  { name: listener }: ListenerDefinition,
  key: readonly string[],
  given: string[],
) {
  const values = [literal(notifyChannel(name, listener)), literal(`+${arrayText(key)}`), ...given]
  return `perform ${schema}.broadcast(${values.join(', ')});`
}
